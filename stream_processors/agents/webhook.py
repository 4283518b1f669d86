"""webhook: calls institutions with their notices, until each endpoint has them or a person must look.

One poll's step projects pending deliveries into memory (webhooks/delivery_queue.py) and moves the positions; the calls run beside
it (webhook_sender.py). The state in Redis consists of positions only: the next records, and the lowest from which pending
deliveries are found again. Invariant: only a mark in the log ends a delivery, so every notice reaches its endpoint at least once
or is parked, whoever dies when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from schemas.codec import decode
from schemas.common import instant_ms
from schemas.notifications.delivery import MOST_NOTICES, NOTICE_KEPT
from schemas.topics import CASE_CHANGES, DELIVERIES, ENDPOINTS, NOTIFICATIONS, Topic
from stream_processors.agents.base import Agent, AgentPorts, Batch
from stream_processors.agents.webhook_sender import Calls, Posts
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import Record
from stream_processors.runtime.metrics import METRICS, Steps
from stream_processors.state.keys import BUCKETS
from stream_processors.state.marks import Mark, MarkKind, Marks, MarkStream
from stream_processors.state.record_views import PlaceRow
from stream_processors.state.store import Write
from stream_processors.state.streams import FactStream, fold_nothing
from stream_processors.topology import STAGES
from stream_processors.webhooks.delivery_queue import Lane, Lanes
from stream_processors.webhooks.payload import WebhookMessage, message_of
from stream_processors.webhooks.policy import Hooks

_BACK = NOTICE_KEPT + timedelta(days=1)
_NOTICES = FactStream(
    NOTIFICATIONS, {CASE_CHANGES.name: MarkStream.OWN}, MarkStream.OWN, fold_nothing, PlaceRow, numbered=MOST_NOTICES
)

Ends = Mapping[str, Mapping[int, int]]


class Webhook(Agent):
    """The watermarks of a partition: the next of its notices, delivery marks and endpoints (SETTLED, SETTLED_SECOND,
    SETTLED_THIRD); the positions from which notices and delivery marks are read to find pending deliveries (PENDING_NOTICES,
    PENDING_DELIVERIES)."""

    stage = STAGES["webhook"]
    tick_every_s = 0.2

    def __init__(
        self, ports: AgentPorts, *, posts: Posts, hooks: Hooks, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(ports)
        self._now = now
        self._sources: Marks = {}
        self.calls = Calls(ports.log, ports.sealer, posts, hooks, ports.tell, now)

    def workable(self, owned: frozenset[tuple[str, int]]) -> frozenset[tuple[str, int]]:
        """The three topics of a partition belong to the same institutions: without all of them nothing is done."""
        return frozenset(at for at in owned if all((topic.name, at[1]) in owned for topic in self.stage.reads))

    async def revoked(self) -> None:
        await super().revoked()
        await self.calls.hang_up()

    async def tick(self) -> None:
        async with self._busy:
            self.calls.check()
            await self.calls.bury()
            self.calls.send()
            self.calls.measure()

    # taking over

    async def _take_over(self, partitions: Sequence[int]) -> None:
        """Finds pending deliveries: from the lowest position of all buckets, or, if it is lost, from all that inboxes show."""
        await self.calls.hang_up()
        self._sources = {}
        buckets = await self.store.marks()
        lowest = {mark: min(marks.get(mark, 0) for marks in buckets) for mark in {mark for marks in buckets for mark in marks}}
        long_ago = instant_ms(self._now() - _BACK)
        back = {topic.name: await self.log.since(topic, long_ago) for topic in (NOTIFICATIONS, DELIVERIES)}
        ends = {topic.name: await self.log.ends(topic) for topic in self.stage.reads}
        starts = await self.log.starts(ENDPOINTS)
        sets: Marks = {}
        pending_lanes: dict[int, Lanes] = {}
        for p in partitions:
            pending_lanes[p] = await self._find_pending(p, lowest, back, ends, starts[p])
            sets |= {self.position_mark(topic, p): ends[topic.name][p] for topic in self.stage.reads}
            sets |= _mark_lowest(p, pending_lanes[p], sets)
        await self._dead.flush()
        point("webhook.found")
        await self.store.call("fold", self._stamp, {b: Write({}, sets) for b in range(BUCKETS)})
        self.marks |= sets
        self.calls.take(pending_lanes)
        pending = sum(len(lane.items) for lanes in pending_lanes.values() for lane in lanes)
        self._tell(f"webhook: {pending} deliveries pending in {len(partitions)} partitions")

    async def _find_pending(self, p: int, lowest: Marks, back: Ends, ends: Ends, start: int) -> Lanes:
        lanes, new = Lanes(), list[Lane]()
        await self._fold_part(ENDPOINTS, p, start, ends, lowest, lanes, new)
        if any(True for _ in lanes):
            issued = max(lowest.get(Mark(MarkKind.PENDING_NOTICES, p), 0), back[NOTIFICATIONS.name][p])
            lanes.marks = marks = max(lowest.get(Mark(MarkKind.PENDING_DELIVERIES, p), 0), back[DELIVERIES.name][p])
            for lane in new:
                await self._look_back(p, lane, lanes, back[NOTIFICATIONS.name][p], issued)
            await self._fold_part(NOTIFICATIONS, p, issued, ends, lowest, lanes, [])
            await self._fold_part(DELIVERIES, p, marks, ends, lowest, lanes, [])
        lanes.marks = ends[DELIVERIES.name][p]
        return lanes

    async def _fold_part(self, topic: Topic, p: int, start: int, ends: Ends, at: Marks, lanes: Lanes, new: list[Lane]) -> None:
        """Projects a range again; `new`: endpoints registered since the position was written."""
        place, end = at.get(self.position_mark(topic, p), 0), ends[topic.name][p]
        if start >= end:
            return
        async for records in self.log.read(topic, p, start, end):
            for record in records:
                added: list[Lane] = []
                self._fold_record(topic, record, lanes, added, first=record.offset >= place)
                new += added if record.offset >= place else []

    # polls

    async def _process_poll(self, batch: Batch) -> None:
        """Endpoints first, then notices, then marks, so that the recipients of a notice are known before it."""
        self.calls.check()
        point("webhook.polled")
        steps = Steps("webhook")
        for topic in (ENDPOINTS, NOTIFICATIONS, DELIVERIES):
            for (name, p), records in batch.items():
                if name == topic.name:
                    await self._fold_run(topic, p, records)
        await self._dead.flush()
        steps.done("read")
        point("webhook.buried")
        await self._settle_places(batch)
        steps.done("settle")
        point("webhook.folded")
        self.calls.send()

    async def _fold_run(self, topic: Topic, p: int, records: Sequence[Record]) -> None:
        lanes, new = self.calls.lanes[p], list[Lane]()
        for record in records:
            self._fold_record(topic, record, lanes, new)
        for lane in new:
            await self._look_back(p, lane, lanes, 0, self.marks.get(Mark(MarkKind.SETTLED, p), 0))

    def _fold_record(self, topic: Topic, record: Record, lanes: Lanes, new: list[Lane], *, first: bool = True) -> None:
        """Projects one record. Unreadable ones go to the dead letters on their first read."""
        try:
            self._take_record(topic, record, lanes, new)
        except ValueError as error:
            if first:
                self._dead.add(topic, record, str(error))
                METRICS.dead.labels("webhook").inc()

    def _take_record(self, topic: Topic, record: Record, lanes: Lanes, new: list[Lane]) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        if topic is ENDPOINTS:
            registration = decode(topic, record.value).data
            if registration.institution != key:
                raise ValueError("the endpoints belong to another institution than the key of the record")
            new += lanes.registered(registration, record.timestamp_ms)
        elif topic is DELIVERIES:
            lanes.marks = record.offset + 1
            if lanes.has(key) and not lanes.marked(decode(topic, record.value).data, record.offset, record.timestamp_ms):
                self._tell(f"webhook: {topic.name}/{record.partition}/{record.offset} requests a notice without its position")
        elif lanes.has(key):
            message = message_of(record.value, key)
            if not self._is_echo(message, record.partition):
                lanes.issued(message, key, record.offset, record.timestamp_ms)

    def _is_echo(self, message: WebhookMessage, p: int) -> bool:
        source = _NOTICES.source_of(message.origin, p)
        assert source is not None
        mark, number = source
        if number < self._sources.get(mark, 0):
            return True
        self._sources[mark] = number + 1
        return False

    async def _look_back(self, p: int, lane: Lane, lanes: Lanes, lowest: int, end: int) -> None:
        """Finds notices issued after an endpoint's registration but read before it."""
        recipient = lane.endpoint.institution
        start = max((await self.log.since(NOTIFICATIONS, lane.since_ms))[p], lowest)
        if start >= end:
            return
        async for records in self.log.read(NOTIFICATIONS, p, start, end):
            for record in records:
                if record.key == recipient.encode():
                    try:
                        message = message_of(record.value, recipient)
                    except ValueError:  # project put it aside
                        continue
                    lanes.issued(message, recipient, record.offset, record.timestamp_ms, only=lane)

    async def _settle_places(self, batch: Batch) -> None:
        names = {topic.name: topic for topic in self.stage.reads}
        sets = {self.position_mark(names[name], p): records[-1].offset + 1 for (name, p), records in batch.items()}
        checks = {mark: self.marks.get(mark, 0) for mark in sets}  # nobody but its owner moves a place
        at = {**self.marks, **sets}
        for p in {p for _, p in batch}:
            sets |= _mark_lowest(p, self.calls.lanes[p], at)
        await self.store.call("fold", self._stamp, {b: Write(checks, sets) for b in range(BUCKETS)})
        self.marks |= sets


def _mark_lowest(p: int, lanes: Lanes, at: Marks) -> Marks:
    read = [at.get(Mark(kind, p), 0) for kind in (MarkKind.SETTLED, MarkKind.SETTLED_SECOND)]
    issued, marks = lanes.lowest(*read)
    return {Mark(MarkKind.PENDING_NOTICES, p): issued, Mark(MarkKind.PENDING_DELIVERIES, p): marks}
