"""Webhooks as a property: whatever endpoints answer, whoever dies when, wherever Redis is lost and in whichever pieces the log is
polled, each notice is taken by each endpoint that wants it or is parked there, in order, always the same bytes under one id; and
no mark says what did not happen.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any
from unittest.mock import patch

from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.common import instant_ms
from schemas.notices import Notification
from schemas.notifications.delivery import DeliveryState
from stream_processors.agents import webhook_sender as calls
from stream_processors.webhooks import delivery_queue as lanes
from stream_processors.webhooks.endpoints import disable, enable
from tests.support.calling import Calling
from tests.support.crashing import crashing
from tests.support.hooks import hook_id, url_of
from tests.support.world import ENDS

FACTOR = int(os.environ.get("LIANDONG_HYPOTHESIS_FACTOR", "1"))
BANKS = ("bank-001", "bank-002", "telecom-1")
HOOKS = ("hook-1", "hook-2", "hook-3", "hook-4")
POINTS = ["webhook.found", "webhook.polled", "webhook.folded", "calls.posted", "calls.posted", "calls.marked", "calls.marked"]
STATUS = st.sampled_from([200, 200, 200, 503, 503, 429, 403, 302, 410])
PLAN = st.one_of(st.none(), st.tuples(st.sampled_from(["cut", "after", "freeze"]), st.integers(1, 3)))
STEP = st.one_of(
    st.tuples(st.just("register"), st.sampled_from(HOOKS)),
    st.tuples(st.just("register"), st.sampled_from(HOOKS)),
    st.tuples(st.just("issue"), st.lists(st.sampled_from(BANKS), min_size=1, max_size=4)),
    st.tuples(st.just("issue"), st.lists(st.sampled_from(BANKS), min_size=1, max_size=4)),
    st.tuples(st.just("issue"), st.lists(st.sampled_from(BANKS), min_size=1, max_size=6)),
    st.tuples(st.just("answers"), st.sampled_from(HOOKS), STATUS),
    st.tuples(st.just("switch"), st.sampled_from(HOOKS)),
    st.tuples(st.just("remove"), st.sampled_from(HOOKS)),
    st.tuples(st.just("acknowledge"), st.integers(0, 20)),
    st.tuples(st.just("replay"), st.integers(0, 20)),
    st.tuples(st.just("poll"), st.integers(0, 1), st.integers(1, 4), PLAN, st.sampled_from([0, 0, 2])),
    st.tuples(st.just("turn"), st.integers(0, 12)),
    st.tuples(st.just("turn"), st.integers(0, 12)),
    st.tuples(st.just("work")),
    st.tuples(st.just("work")),
    st.tuples(st.just("work")),
    st.tuples(st.just("die"), st.sampled_from(POINTS), st.integers(1, 3)),
    st.tuples(st.just("restart"), st.integers(0, 1)),
    st.tuples(st.just("rebalance"), st.integers(0, 255)),
    st.tuples(st.just("thaw")),
    st.tuples(st.just("copy")),
    st.tuples(st.just("lose"), st.sampled_from(["roll_back", "flush"]), st.sampled_from([1, 3, 16])),
    st.tuples(st.just("forward"), st.sampled_from([1, 5, 3600, 90_000])),
)
HISTORY = st.lists(STEP, min_size=15, max_size=60)


class Player(Calling):
    """Plays a history; `since`: when each endpoint that there is was registered."""

    def __init__(self, crasher: Any) -> None:
        super().__init__()
        self.crasher = crasher
        self.issued: list[Notification] = []
        self.since: dict[str, int] = {}
        self.aside: set[str] = set()  # endpoints that were taken away
        self.kept: Any = None

    def _bank(self, hook: str) -> str:
        return BANKS[HOOKS.index(hook) % len(BANKS)]

    def _made(self, hook: str) -> Any:
        return self.endpoints.get(self._bank(hook), {}).get(hook)

    def _current(self, institution: str) -> None:
        """The gateway builds on what counts, the sender's own changes too."""
        from schemas.codec import decode
        from schemas.topics import ENDPOINTS

        for record in self.world.log.all(ENDPOINTS):
            one = decode(ENDPOINTS, record.value).data
            if one.institution == institution and one.revision > self.revisions.get(institution, 0):
                self.revisions[institution] = one.revision
                self.endpoints[institution] = {each.endpoint_id: each for each in one.endpoints}

    async def step(self, one: tuple[Any, ...]) -> None:
        await getattr(self, f"do_{one[0]}")(*one[1:])

    async def do_register(self, hook: str) -> None:
        if hook not in self.since and hook not in self.aside:  # no two endpoints ever have one id
            self._current(self._bank(hook))
            self.register(hook, self._bank(hook), kinds=("feedback",))
            self.since[hook] = self.world.clock.ms

    async def do_issue(self, recipients: list[str]) -> None:
        for recipient in recipients:
            self.issued.append(self.issue(len(self.issued), recipient))

    async def do_answers(self, hook: str, status: int) -> None:
        self.receivers.says[url_of(hook)] = status

    async def do_switch(self, hook: str) -> None:
        self._current(self._bank(hook))
        if (made := self._made(hook)) is not None:
            off = made.disabled_at is None
            self.set(disable(made, "paused", self.now) if off else enable(made, self.now))

    async def do_remove(self, hook: str) -> None:
        self._current(self._bank(hook))
        if (made := self._made(hook)) is not None:
            self.remove(made)
            del self.since[hook]
            self.aside.add(hook)

    async def do_acknowledge(self, n: int) -> None:
        if n < len(self.issued):
            self.say("acknowledged", self.issued[n])

    async def do_replay(self, n: int) -> None:
        if n < len(self.issued):
            self.replay(self.issued[n])

    async def do_poll(self, number: int, limit: int, plan: Any, rewind: int) -> None:
        await self.world.poll("webhook", number, limit, plan=plan, rewind=rewind)

    async def do_turn(self, turns: int) -> None:
        for number in (0, 1):
            await self.tick(number)
        await self.rest(turns)

    async def do_work(self) -> None:
        for _ in range(4):
            await self.poll(50)
            await self.do_turn(20)

    async def do_die(self, name: str, n: int) -> None:
        self.crasher.arm(name, n)

    async def do_restart(self, number: int) -> None:
        await self.world._bury()
        await self.world.restart("webhook", number)

    async def do_rebalance(self, bits: int) -> None:
        await self.world.rebalance("webhook", [bits >> p & 1 for p in range(8)])

    async def do_thaw(self) -> None:
        await self.world.thaw("webhook")

    async def do_copy(self) -> None:
        self.kept = self.world.redis["webhook"].copy()

    async def do_lose(self, how: str, buckets: int) -> None:
        redis = self.world.redis["webhook"]
        if how == "flush" or self.kept is None:
            redis.flush(range(buckets))
        else:
            redis.roll_back(self.kept, range(buckets))

    async def do_forward(self, seconds: float) -> None:
        self.world.clock.forward(seconds)

    async def end(self) -> None:
        """Everybody is well, switched on and answers; time goes by until nothing waits."""
        self.crasher.disarm()
        while self.world.frozen["webhook"]:
            await self.world.thaw("webhook")
        self.receivers.says.clear()
        await self.world._bury()
        for number in (0, 1):
            await self.world.restart("webhook", number)
        for hook in list(self.since):
            self._current(self._bank(hook))
            if (made := self._made(hook)) is not None and made.disabled_at is not None:
                self.set(enable(made, self.now))
        for _ in range(4):
            self.world.clock.forward(4000)
            await self.work()


async def played(history: list[tuple[Any, ...]]) -> Player:
    with crashing() as crasher, patch.object(lanes, "HELD", 2), patch.object(calls, "HELD", 2):
        player = Player(crasher)
        await player.up()
        for hook in ("hook-1", "hook-2", "hook-4"):  # two of one bank, one of another
            await player.do_register(hook)
        for one in history:
            try:
                await player.step(one)
            except ENDS as error:
                player.world.ended.append(f"webhook: {error}")
                await player.world._bury()
                for number in (0, 1):
                    await player.world.restart("webhook", number)
        await player.end()
        return player


def check(player: Player) -> None:
    assert player.pending() == 0
    marks = player.marks()
    told: dict[tuple[str, str], set[DeliveryState]] = {}
    for mark in marks:
        told.setdefault((mark.endpoint_id or "", mark.notification_id), set()).add(mark.state)
    acknowledged = {one.notification_id for one in _others(player, DeliveryState.ACKNOWLEDGED)}
    redelivered = {one.notification_id for one in _others(player, DeliveryState.REDELIVERED)}
    for hook, since in player.since.items():
        firsts = player.receivers.firsts(url_of(hook))
        mine = [one for one in player.issued if one.recipient == player._bank(hook) and instant_ms(one.at) >= since]
        for one in mine:
            states = told.get((hook, one.notification_id), set())
            taken = hook_id(one) in firsts
            assert taken or DeliveryState.PARKED in states or one.notification_id in acknowledged, (hook, one.notification_id)
            assert taken or DeliveryState.RECEIVED not in states, "no mark says what did not happen"
        calm = [hook_id(one) for one in mine if one.notification_id not in acknowledged | redelivered]
        parked = {hook_id(one) for one in mine if DeliveryState.PARKED in told.get((hook, one.notification_id), set())}
        assert [name for name in firsts if name in calm and name not in parked] == [one for one in calm if one not in parked]


def _others(player: Player, state: DeliveryState) -> list[Any]:
    from schemas.codec import decode
    from schemas.topics import DELIVERIES

    found = [decode(DELIVERIES, record.value).data for record in player.world.log.all(DELIVERIES)]
    return [one for one in found if one.state is state]


@settings(max_examples=60 * FACTOR)
@given(HISTORY)
def test_every_notice_is_taken_by_every_endpoint_that_wants_it_or_parked(history: list[tuple[Any, ...]]) -> None:
    player = asyncio.run(played(history))
    check(player)
    event(f"ended: {min(len(player.world.ended), 3)}")
    event(f"calls: {min(len(player.receivers.calls), 40) // 10 * 10}")
    event(f"parked: {any(one.state is DeliveryState.PARKED for one in player.marks())}")
