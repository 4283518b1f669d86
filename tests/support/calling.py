"""A sender's world in memory: two workers of it, institutions that are called, a clock that the test moves."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from schemas.codec import encode
from schemas.common import from_ms
from schemas.notices import Notification
from schemas.notifications.delivery import DeliveryMark
from schemas.notifications.webhook import WebhookEndpoint
from schemas.topics import DELIVERIES, ENDPOINTS, NOTIFICATIONS
from stream_processors.agents.webhook import Webhook
from stream_processors.runtime.log import partition_of
from tests.support.deliveries import mark, notice
from tests.support.hooks import Receivers, endpoint, endpoints_record, hook_marks, notice_record, registered
from tests.support.world import ENDS, World


class Calling:
    def __init__(self) -> None:
        self.world = World()
        self.notices: dict[str, tuple[Notification, int]] = {}
        self.revisions: dict[str, int] = {}
        self.endpoints: dict[str, dict[str, WebhookEndpoint]] = {}

    async def up(self) -> Calling:
        await self.world.up()
        return self

    @property
    def receivers(self) -> Receivers:
        return self.world.receivers

    @property
    def now(self) -> datetime:
        return from_ms(self.world.clock.ms)

    def agent(self, number: int) -> Webhook:
        found = self.world.workers["webhook"][number].agent
        assert isinstance(found, Webhook)
        return found

    # what stands in the log

    def register(self, endpoint_id: str = "hook-1", institution: str = "bank-001", **over: Any) -> WebhookEndpoint:
        made, secret = endpoint(endpoint_id, institution, at=self.now, **over)
        self.receivers.secrets[made.url] = secret
        self.set(made)
        return made

    def set(self, made: WebhookEndpoint) -> None:
        """The endpoint as it is from now on, beside the institution's others."""
        mine = self.endpoints.setdefault(made.institution, {})
        mine[made.endpoint_id] = made
        self._write(made.institution)

    def remove(self, made: WebhookEndpoint) -> None:
        del self.endpoints[made.institution][made.endpoint_id]
        self._write(made.institution)

    def _write(self, institution: str) -> None:
        revision = self.revisions[institution] = self.revisions.get(institution, 0) + 1
        found = registered(*self.endpoints[institution].values(), institution=institution, revision=revision)
        self.world.submit(*endpoints_record(found, self.now), ENDPOINTS)

    def issue(self, n: int, recipient: str = "bank-001", **over: Any) -> Notification:
        one = notice(n, recipient, at=self.now, **over)
        partition, place = self.world.submit(*notice_record(one, n), NOTIFICATIONS)
        assert partition == partition_of(recipient.encode(), NOTIFICATIONS.partitions)
        self.notices[one.notification_id] = one, place
        return one

    def say(self, state: str, one: Notification, **over: Any) -> None:
        """What somebody else marks: acknowledged, redelivered."""
        said = mark(
            state,
            recipient=one.recipient,
            at=self.now,
            notification_id=one.notification_id,
            channel="api",
            noticed_at=one.at,
            **over,
        )
        self.world.submit(one.recipient.encode(), mark_value(said), DELIVERIES)

    def replay(self, one: Notification, **over: Any) -> None:
        self.say("redelivered", one, notification_offset=self.notices[one.notification_id][1], **over)

    # the processes

    async def poll(self, limit: int = 100, **how: Any) -> bool:
        return any([await self.world.poll("webhook", number, limit, **how) for number in (0, 1)])

    async def tick(self, number: int) -> None:
        try:
            await self.agent(number).tick()
        except ENDS as error:
            self.world.ended.append(f"webhook: {type(error).__name__} in a tick: {error}")
            await self.world._bury()
            await self.world.restart("webhook", number)

    async def rest(self, turns: int = 30) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def work(self, rounds: int = 400) -> None:
        """Polls and calls until nothing more happens at this moment."""
        for _ in range(rounds):
            polled = await self.poll()
            for number in (0, 1):
                await self.tick(number)
            await self.rest()
            under_way = any(self.agent(number).calls._under_way for number in (0, 1))
            if not polled and not under_way and not await self.poll():
                return
        raise AssertionError("the calls do not come to an end")

    async def pass_s(self, seconds: float, every_s: float) -> None:
        """The time goes by, and all work."""
        for _ in range(round(seconds / every_s)):
            self.world.clock.forward(every_s)
            await self.work()

    def pending(self) -> int:
        return sum(len(lane.items) for n in (0, 1) for lanes in self.agent(n).calls.lanes.values() for lane in lanes)

    def marks(self) -> list[DeliveryMark]:
        return hook_marks(self.world)


def mark_value(one: DeliveryMark) -> bytes:
    name, actor = f"mark-{one.state}", f"institution:{one.recipient}"
    return encode(DELIVERIES, one, id=name, source="/gateway", actor=actor, time=one.at, subject=one.recipient)
