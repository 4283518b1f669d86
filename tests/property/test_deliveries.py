"""Delivery as a property: whatever happens to cases, in which order marks come and wherever processes die or Redis is lost, each
notice stands once in its recipient's inbox, in one order, and what follows for other cases is asked of them.

The histories are those of the laws of the state (test_pipeline.py); here most changes ask for notices, and some for more.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any
from unittest.mock import patch
from zlib import crc32

from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.cases.case import Action, ActionKind, ActionOutcome
from schemas.codec import decode
from schemas.common import from_ms
from schemas.envelope import Origin
from schemas.notices import Notification
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, DELIVERIES, NOTIFICATIONS, SUBMITTED
from stream_processors.agents import track
from stream_processors.state.fold_run import read_chunk
from stream_processors.topology import STAGES
from tests.property.test_pipeline import Player
from tests.support.builders import action_record, join
from tests.support.crashing import crashing
from tests.support.deliveries import mark, mark_record, requests
from tests.support.inboxes import seen
from tests.support.world import World, content

FACTOR = int(os.environ.get("LIANDONG_HYPOTHESIS_FACTOR", "1"))
RECIPIENTS = ("bank-001", "bank-002", "telecom-1", "public-security-630202")
INBOX = next(stream for stream in STAGES["project"].streams if stream.topic is NOTIFICATIONS)
POINTS = ["deliver.polled", "deliver.decided", "deliver.issued", "deliver.followed", "deliver.folded", "deliver.found"]
MARK = st.fixed_dictionaries(
    {
        "notice": st.integers(0, 30),
        "state": st.sampled_from(["received", "acknowledged", "parked", "redelivered"]),
        "second": st.integers(0, 3),
        "channel": st.sampled_from(["poll", "webhook"]),
    }
)
OFFICER = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["claim", "claim", "renew", "release", "hand_over", "dispose"]),
        "case": st.integers(0, 5),
        "officer": st.sampled_from(["officer-a", "officer-b"]),
        "behind": st.sampled_from([None, 0]),
        "lease_s": st.sampled_from([None, 60]),
    }
)
STAGE = st.sampled_from(["track", "deliver", "deliver", "project"])
PLAN = st.one_of(st.none(), st.tuples(st.sampled_from(["cut", "after", "freeze"]), st.integers(1, 4)))
STEP = st.one_of(
    st.tuples(st.just("joins"), st.lists(st.integers(0, 5), min_size=1, max_size=6)),
    st.tuples(st.just("joins"), st.lists(st.integers(0, 5), min_size=1, max_size=6)),
    st.tuples(st.just("officer"), OFFICER),
    st.tuples(st.just("officer"), OFFICER),
    st.tuples(st.just("retry"), st.integers(0, 5)),
    st.tuples(st.just("said"), MARK),
    st.tuples(st.just("poll"), STAGE, st.integers(0, 1), st.integers(1, 4), PLAN, st.sampled_from([0, 0, 2])),
    st.tuples(st.just("round"), st.integers(1, 4)),
    st.tuples(st.just("round"), st.integers(1, 4)),
    st.tuples(st.just("die"), st.sampled_from([*POINTS, "track.recorded", "project.folded"]), st.integers(1, 2)),
    st.tuples(st.just("restart"), STAGE, st.integers(0, 1)),
    st.tuples(st.just("rebalance"), STAGE, st.integers(0, 255)),
    st.tuples(st.just("thaw"), STAGE),
    st.tuples(st.just("copy"), STAGE),
    st.tuples(st.just("lose"), STAGE, st.sampled_from(["roll_back", "flush"]), st.sampled_from([1, 3, 16])),
    st.tuples(st.just("forward"), st.sampled_from([1, 61])),
)
HISTORY = st.lists(STEP, min_size=8, max_size=50)
_DECIDE = track.decision.decide


def asking(**given: Any) -> Any:
    """The case's own decision, and what it asks for beside: a function of the action, so that a replay asks for the same."""
    change, action = _DECIDE(**given), given["action"]
    if change.outcome is not ActionOutcome.APPLIED or change.case is None:
        return change
    case_id, drawn = change.case.case_id, crc32(action.action_id.encode())
    notices = tuple(
        Notification(
            notification_id=f"{action.action_id}/{case_id}/{n}",
            recipient=RECIPIENTS[(drawn + n) % len(RECIPIENTS)],
            kind="feedback",
            case_id=case_id,
            template="case_seen",
            at=given["now"],
        )
        for n in range(drawn % 4)
    )
    follows: tuple[Action, ...] = ()
    if drawn % 3 == 0 and not action.action_id.startswith("follow-"):
        name = f"follow-{action.action_id}"
        follows = (Action(action_id=name, case_id=f"{case_id}-b", kind=ActionKind.CLOSE, queue="q", officer="officer-a"),)
    return change.model_copy(update={"notifications": notices, "follow_ups": follows})


class Recipients(Player):
    joined = 0

    async def joins(self, cases: list[int]) -> None:
        """Signals join cases, as assess asks for it."""
        for number in cases:
            self.joined += 1
            name = f"{self.joined}-{number}"
            action = join(f"case-{number}", action_id=f"join-{name}", signal_id=f"sig-{name}")
            # not by a stage: there is no such signal in the log, and a stage would have to have read one
            self.world.submit(*action_record(action, Origin(SUBMITTED.name, number, self.joined), "test:joins"), CASE_COMMANDS)

    async def round(self, limit: int) -> None:
        for stage in ("track", "deliver", "project"):
            for worker in (0, 1):
                await self.world.poll(stage, worker, limit)

    async def said(self, one: dict[str, Any]) -> None:
        """A mark about a notice that there is, or that will be."""
        known = [decode(NOTIFICATIONS, record.value).data.notification for record in self.world.log.all(NOTIFICATIONS)]
        if known:
            notice = known[one["notice"] % len(known)]
            way = {"channel": one["channel"], "notification_id": notice.notification_id, "notified_at": notice.at}
            at = from_ms(self.world.clock.ms - 1000 * one["second"])
            self.world.submit(*mark_record(mark(one["state"], 0, notice.recipient, at, **way)), DELIVERIES)


async def play(history: list[Any]) -> Recipients:
    with crashing() as crasher, patch.object(track.decision, "decide", asking):
        player = Recipients(await World().up(), crasher)
        await player.play(history)
        crasher.disarm()
        await player.world.settle()
    for name in crasher.hit:
        event(f"died at {name}")
    return player


def wanted(world: World) -> list[Any]:
    """Every change that counts: of each action the first."""
    found = {}
    for record in world.log.all(CASE_CHANGES):
        envelope = decode(CASE_CHANGES, record.value)
        found.setdefault(envelope.origin, (record, envelope.data))
    return list(found.values())


def counted(world: World, p: int) -> list[Any]:
    records = world.log.all(NOTIFICATIONS, p)
    return list(read_chunk(INBOX, p, records, {}).counted) if records else []


@settings(max_examples=100 * FACTOR, deadline=None)
@given(HISTORY)
def test_every_notice_stands_once_in_its_recipients_inbox(history: list[Any]) -> None:
    player = asyncio.run(play(history))
    world = player.world
    changes = wanted(world)
    told = [one for p in range(NOTIFICATIONS.partitions) for one in counted(world, p)]
    assert sorted(one.envelope.data.notification.notification_id for one in told) == sorted(
        notice.notification_id for _, change in changes for notice in change.notifications
    )
    for p in range(NOTIFICATIONS.partitions):
        sources = [tuple(map(int, one.envelope.origin.rsplit("/", 3)[1:])) for one in counted(world, p)]
        for q in range(CASE_CHANGES.partitions):
            own = [source for source in sources if source[0] == q]
            assert own == sorted(set(own)), "in the order of what caused them"
    asked = {one.data.action_id for one in requests(world)}
    assert asked == {action.action_id for _, change in changes for action in change.follow_ups}
    decided = {change.action_id for _, change in changes}
    assert asked <= decided, "and track has said what became of it"
    for recipient in RECIPIENTS:
        own = [
            (one.offset, one.envelope.data.notification.notification_id)
            for one in told
            if one.envelope.data.notification.recipient == recipient
        ]
        inbox = seen(world.redis["project"], recipient)
        assert [(one.offset, one.issued.notification.notification_id) for one in inbox.entries] == sorted(own)
        assert inbox.unreceived == [
            one.offset for one in inbox.entries if one.delivery.received is None and one.delivery.acknowledged is None
        ]
    event(f"{min(9, len(told))} notices")


@settings(max_examples=60 * FACTOR, deadline=None)
@given(HISTORY)
def test_an_inbox_that_lived_is_the_inbox_that_is_folded_afresh(history: list[Any]) -> None:
    async def both() -> tuple[Any, Any]:
        player = await play(history)
        return content(player.world.redis["project"]), content(await player.world.afresh("project"))

    lived, afresh = asyncio.run(both())
    assert lived == afresh


@settings(max_examples=60 * FACTOR, deadline=None)
@given(HISTORY)
def test_the_place_of_deliver_is_never_past_what_was_not_written(history: list[Any]) -> None:
    """Killed at any moment and with its Redis gone, it finds in the log a place from which nothing is missing."""

    async def lost() -> World:
        player = await play(history)
        for stage in ("deliver", "project"):
            player.world.redis[stage].flush()
        with patch.object(track.decision, "decide", asking):
            await player.world.settle()
        return player.world

    world = asyncio.run(lost())
    told = [one.envelope.data.notification.notification_id for p in range(NOTIFICATIONS.partitions) for one in counted(world, p)]
    assert sorted(told) == sorted(notice.notification_id for _, change in wanted(world) for notice in change.notifications)
    assert {one.key for one in world.log.all(CASE_COMMANDS)} >= {
        action.case_id.encode() for _, change in wanted(world) for action in change.follow_ups
    }
