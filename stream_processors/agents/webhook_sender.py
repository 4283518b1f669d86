"""The calls of `webhook`: one at a time for each endpoint, many endpoints at once; the log has a mark of every result before it
counts.

Invariant: an item leaves its lane only after its mark is in the log. A slow, dead or hostile endpoint costs the others neither
capacity nor order, whatever it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol

from schemas.codec import encode
from schemas.common import from_ms, instant_ms
from schemas.notices import NotificationKind
from schemas.notifications.delivery import DeliveryMark, DeliveryState
from schemas.security import Sealer, UnsealError
from schemas.topics import DELIVERIES, ENDPOINTS, NOTIFICATIONS
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import Log, Record
from stream_processors.runtime.metrics import METRICS, OTHER
from stream_processors.state.restore import Tell
from stream_processors.webhooks import delivery_state as schedule
from stream_processors.webhooks import endpoints
from stream_processors.webhooks import signing as sign
from stream_processors.webhooks.delivery_queue import HELD, Item, Lane, Lanes
from stream_processors.webhooks.payload import message_of
from stream_processors.webhooks.policy import Hooks
from stream_processors.webhooks.responses import Answer, CallOutcome, reason_of

ACTOR = "stage:webhook"
AT_ONCE, FAILING_AT_ONCE = 256, 128
"""Concurrent calls, and how many of them may go to endpoints that failed last, so that dead endpoints never block the others."""
PARKED_AT_ONCE = 500
READ_AT_ONCE = 20_000
"""Notices read from the log at most to find the bodies of one lane."""


class Posts(Protocol):
    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer: ...


class Calls:
    """`take` the lanes of the own partitions, `send` due items; `hang_up` when they belong to another worker."""

    def __init__(self, log: Log, sealer: Sealer, posts: Posts, hooks: Hooks, tell: Tell, now: Callable[[], datetime]) -> None:
        self.log, self._sealer, self._posts, self._hooks, self._tell, self._now = log, sealer, posts, hooks, tell, now
        self.lanes: dict[int, Lanes] = {}
        self._owned_ms = 0
        self._under_way: dict[asyncio.Task[None], Lane] = {}
        self._failure: BaseException | None = None

    def take(self, lanes: dict[int, Lanes]) -> None:
        self.lanes, self._owned_ms = lanes, instant_ms(self._now())

    async def hang_up(self) -> None:
        """Calls in progress belong to the next owner, which sends them again."""
        self.lanes = {}
        calls = list(self._under_way)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def rest(self) -> None:
        """Waits until no call is in progress."""
        while self._under_way:
            await asyncio.wait(list(self._under_way))

    def check(self) -> None:
        """Law 4: a call with an unexpected end ends the process."""
        if self._failure is not None:
            raise self._failure

    def send(self) -> None:
        """Starts due calls as capacity permits; the longest wait comes first."""
        now = self._now()
        due = [(lane, p) for p, lanes in self.lanes.items() for lane in lanes if lane.due(now)]
        if len(due) > AT_ONCE // 2:
            due.sort(key=lambda due_lane: due_lane[0].waits_since_ms)
        for lane, p in due:
            self._begin(p, lane)

    def _begin(self, p: int, lane: Lane) -> None:
        failing = sum(busy_lane.failing for busy_lane in self._under_way.values()) if lane.failing else 0
        if len(self._under_way) >= AT_ONCE or failing >= FAILING_AT_ONCE:
            return
        lane.at_work = True
        call = asyncio.create_task(self._call(p, lane))
        self._under_way[call] = lane
        call.add_done_callback(lambda call: self._called(p, call))

    def _called(self, p: int, call: asyncio.Task[None]) -> None:
        lane, was_full = self._under_way.pop(call), len(self._under_way) + 1 >= FAILING_AT_ONCE
        lane.at_work = False
        if call.cancelled():
            return
        if (error := call.exception()) is not None:
            self._failure = self._failure or error
        elif p not in self.lanes:
            return
        elif was_full:
            self.send()
        elif not lane.is_removed and lane.due(self._now()):
            self._begin(p, lane)

    async def _call(self, p: int, lane: Lane) -> None:
        item = lane.head
        if item is None or (item.body is None and not await self._read_bodies(p, lane)):
            return
        assert item.body is not None
        delivery = lane.delivery(self._owned_ms)
        answer = await self._post(lane, item, delivery)
        point("calls.posted")
        attempt, now = delivery.attempts + 1, self._now()
        METRICS.webhook_calls.labels(answer.outcome.value, reason_of(answer)).inc()
        after = schedule.answered(delivery=delivery, answer=answer, attempt=attempt, retries=self._hooks.retries, now=now)
        lane.failing = answer.outcome is CallOutcome.RETRY_LATER
        if answer.outcome is CallOutcome.DELIVERED:
            METRICS.webhook_taken_s.observe(max(0.0, now.timestamp() - item.begun_ms / 1000))
            await self._end(lane, [item], DeliveryState.RECEIVED, attempt)
        elif lane.is_removed or item.name not in lane.items:
            return  # acknowledged or taken away meanwhile
        elif after.state is schedule.DeliveryState.PARKED:
            await self._end(lane, [item], DeliveryState.PARKED, attempt, after.why)
            if answer.outcome is CallOutcome.GONE:
                await self._stop(p, lane, answer.why or "gone")
            elif answer.outcome is CallOutcome.RETRY_LATER:
                await self._park_behind(lane)
        elif lane.trying is delivery:  # else it was asked for once more, and begins anew
            lane.trying = after

    async def _post(self, lane: Lane, item: Item, delivery: schedule.Delivery) -> Answer:
        now, body = self._now(), item.body or b""
        try:
            url = endpoints.url_of(lane.endpoint, self._sealer)
            secrets = endpoints.live_secrets(lane.endpoint, self._sealer, now)
            headers = sign.headers(secrets, message_id=item.name, sent_at=now, body=body)
        except (UnsealError, ValueError):
            self._tell(f"webhook: cannot decrypt address or secret of {lane.endpoint.endpoint_id}; check the key file")
            return Answer(CallOutcome.RETRY_LATER, "the address or the signing secret of the endpoint cannot be decrypted")
        try:
            return await self._posts.post(url, headers=headers, body=body, now=now)
        except Exception as error:  # whatever an endpoint found to break us with is its own trouble, and nobody else's
            self._tell(f"webhook: unexpected error in a call of {lane.endpoint.endpoint_id}: {type(error).__name__}: {error}")
            return Answer(CallOutcome.RETRY_LATER, "unexpected error in the call of the endpoint")

    async def _end(
        self, lane: Lane, items: Sequence[Item], state: DeliveryState, attempt: int = 1, detail: str | None = None
    ) -> None:
        """Writes the end of some items into the log; only then they leave their lane."""
        recipient, at = lane.endpoint.institution, self._now()
        entries = [(recipient.encode(), _mark(lane, item, state, at, attempt, detail)) for item in items]
        await self.log.append_keyed(DELIVERIES, entries)
        point("calls.marked")
        METRICS.facts.labels("webhook", state.value).inc(len(items))
        for item in items:
            if state is DeliveryState.PARKED:
                METRICS.webhook_parked.labels(_counted_as(item)).inc()
            if lane.items.get(item.name) is item:
                lane.take(item.name)

    async def _park_behind(self, lane: Lane) -> None:
        """Parks items that waited as long behind one that was parked: their time is over, too."""
        why = "gave up: the endpoint accepted nothing during the retry period"
        while not lane.is_removed and (overdue := lane.overdue(self._now(), self._hooks.retries, self._owned_ms, PARKED_AT_ONCE)):
            await self._end(lane, overdue, DeliveryState.PARKED, detail=why)

    async def bury(self) -> None:
        """Parks notices that no inbox shows any more, also for paused endpoints."""
        now = self._now()
        for lane in [lane for lanes in self.lanes.values() for lane in lanes if not lane.at_work]:
            if outlived := lane.outlived(now, PARKED_AT_ONCE):
                lane.at_work = True
                await self._end(lane, outlived, DeliveryState.PARKED, detail="it waited until the inbox retention ended")
                lane.at_work = False

    async def _stop(self, p: int, lane: Lane, why: str) -> None:
        """Disables the endpoint, visibly for its institution. A concurrent change counts instead; if it enables the endpoint, the
        next call finds out again."""
        lane.stopped = True
        registered = self.lanes[p].known(lane.endpoint.institution) if p in self.lanes else None
        if registered is None or registered.of(lane.endpoint.endpoint_id) is None:
            return
        at = self._now()
        changed = [
            endpoints.disable(endpoint, why, at) if endpoint.endpoint_id == lane.endpoint.endpoint_id else endpoint
            for endpoint in registered.endpoints
        ]
        revision = registered.revision + 1
        change_id = f"gone-{lane.endpoint.endpoint_id}-{revision}"
        after = registered.model_copy(update={"endpoints": tuple(changed), "revision": revision, "change_id": change_id})
        value = encode(ENDPOINTS, after, id=change_id, source="/webhook", actor=ACTOR, time=at, subject=registered.institution)
        await self.log.append_keyed(ENDPOINTS, [(registered.institution.encode(), value)])

    async def _read_bodies(self, p: int, lane: Lane) -> bool:
        """Reads the first items' bodies from the log. False if the first is missing (then it is parked), or is no longer the
        first: its institution may acknowledge it meanwhile, or remove the endpoint."""
        head = lane.head
        assert head is not None
        start, end, first = head.place, (await self.log.ends(NOTIFICATIONS))[p], (await self.log.starts(NOTIFICATIONS))[p]
        if lane.head is not head:
            return False
        unread = {item.place: item for item in islice(lane.items.values(), HELD) if item.body is None}
        last = start if head.again else min(max(unread), start + READ_AT_ONCE)
        if first <= start <= last < end:
            async for records in self.log.read(NOTIFICATIONS, p, start, last + 1):
                for record in records:
                    if (item := unread.get(record.offset)) is not None:
                        self._read_body(lane, item, record)
        if lane.head is not head:
            return False
        if head.body is None:
            await self._end(lane, [head], DeliveryState.PARKED, detail="the notice is no longer in the log")
        elif head.kind is not None and not lane.endpoint.takes(head.kind):  # asked for once more, and not for this endpoint
            lane.take(head.name)
            return False
        return head.body is not None

    def _read_body(self, lane: Lane, item: Item, record: Record) -> None:
        try:
            message = message_of(record.value, lane.endpoint.institution)
        except ValueError:
            return
        if message.name == item.name and item.body is None:
            lane.read(item, message)

    def measure(self) -> None:
        lanes = [lane for partition_lanes in self.lanes.values() for lane in partition_lanes]
        METRICS.webhook_pending.set(sum(len(lane.items) for lane in lanes))
        heads = [lane.head for lane in lanes if lane.open]
        oldest = min((head.begun_ms for head in heads if head is not None), default=None)
        METRICS.webhook_oldest_s.set(0 if oldest is None else max(0.0, self._now().timestamp() - oldest / 1000))


def _counted_as(item: Item) -> str:
    kind = (item.kind or OTHER).partition(".")[0]
    return kind if kind in NotificationKind._value2member_map_ else OTHER


def _mark(lane: Lane, item: Item, state: DeliveryState, at: datetime, attempt: int, detail: str | None) -> bytes:
    recipient, endpoint_id = lane.endpoint.institution, lane.endpoint.endpoint_id
    mark = DeliveryMark.trusted(
        recipient=recipient,
        notification_id=item.notification_id,
        state=state,
        at=at,
        channel="webhook",
        attempt=min(max(attempt, 1), 1000),
        detail=detail[:200] if detail else None,
        notified_at=from_ms(item.noticed_ms),
        endpoint_id=endpoint_id,
        notification_offset=item.place,
    )
    name = f"{state.value}-{item.name}-{endpoint_id}-{instant_ms(at)}"
    return encode(DELIVERIES, mark, id=name, source="/webhook", actor=ACTOR, time=at, subject=recipient)
