"""Pending deliveries: a lane for each endpoint of a partition's institutions, in the order of the log. Pure.

A projection of three topics: the endpoints, their notices, and the delivery marks. A notice is in its lane until a mark reports
that the endpoint accepted it, that it was parked, or that it was acknowledged through any channel. Invariant: nothing leaves a
lane because of memory alone; everyone who projects the same records has the same lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from schemas.common import from_ms, instant_ms
from schemas.notices import NotificationKind
from schemas.notifications.delivery import NOTICE_KEPT, DeliveryMark, DeliveryState
from schemas.notifications.webhook import Endpoints, WebhookEndpoint
from stream_processors.webhooks import delivery_state as schedule
from stream_processors.webhooks.payload import WebhookMessage, id_of
from stream_processors.webhooks.policy import Retries

HELD = 500
"""Bodies of a lane in memory. Later ones are read from the log when their turn comes."""
_KEPT_MS = int(NOTICE_KEPT.total_seconds() * 1000)
_ENDS = (DeliveryState.RECEIVED, DeliveryState.PARKED)


@dataclass(slots=True, eq=False)
class Item:
    """A notice for one endpoint. `place`: its offset among the notices; `marked`: all marks about it are at or after this offset.
    `again`: it is a redelivery. `body` and `kind` are None until they are read (again) from the log."""

    name: str
    notification_id: str
    place: int
    marked: int
    begun_ms: int
    noticed_ms: int
    kind: str | None = None
    body: bytes | None = None
    again: bool = False


@dataclass(slots=True, eq=False)
class Lane:
    """One endpoint. `since_ms`: earlier notices are not for it. `trying`: the delivery of the first item; `at_work`: it is being
    sent; `stopped`: the endpoint refused all further calls, but the log does not record it yet; `is_removed`: it was deleted;
    `once`: notices about a hub and day that the log can hold more than once (domain/notifications/imitation.py)."""

    endpoint: WebhookEndpoint
    since_ms: int
    items: dict[str, Item] = field(default_factory=dict)
    once: set[str] = field(default_factory=set)
    bodies: int = 0
    trying: schedule.Delivery | None = None
    at_work: bool = False
    failing: bool = False
    stopped: bool = False
    is_removed: bool = False

    @property
    def head(self) -> Item | None:
        return next(iter(self.items.values()), None)

    @property
    def open(self) -> bool:
        return not self.stopped and self.endpoint.disabled_at is None

    def due(self, now: datetime) -> bool:
        """Whether its first item must be sent now."""
        if self.at_work or not self.open or not self.items:
            return False
        return self.trying is None or self.trying.next_at is None or self.trying.next_at <= now

    @property
    def waits_since_ms(self) -> int:
        """The time since which its first item could have been sent."""
        if self.trying is not None and self.trying.next_at is not None:
            return instant_ms(self.trying.next_at)
        return self.head.begun_ms if self.head is not None else 0

    def delivery(self, owned_ms: int) -> schedule.Delivery:
        """The delivery of the first item. Before its first attempt, its time counts from the latest of these: the notice was
        issued, the endpoint was enabled, this process took over the lane."""
        item = self.head
        assert item is not None
        if self.trying is None or self.trying.message_id != item.name:
            endpoint, begun = self.endpoint, from_ms(self.begun_ms(item, owned_ms))
            self.trying = schedule.first(
                message_id=item.name, endpoint_id=endpoint.endpoint_id, recipient=endpoint.institution, now=begun
            )
        return self.trying

    def begun_ms(self, item: Item, owned_ms: int) -> int:
        return max(item.begun_ms, instant_ms(self.endpoint.changed_at), owned_ms)

    def overdue(self, now: datetime, retries: Retries, owned_ms: int, most: int) -> list[Item]:
        """Items that have waited behind a parked one for as long as that one was tried."""
        ends_ms = instant_ms(now) - retries.give_up_s * 1000
        return _while(self.items.values(), lambda item: self.begun_ms(item, owned_ms) < ends_ms, most)

    def outlived(self, now: datetime, most: int) -> list[Item]:
        """Items that no inbox shows any more."""
        ends_ms = instant_ms(now) - _KEPT_MS
        return _while(self.items.values(), lambda item: max(item.noticed_ms, item.begun_ms if item.again else 0) < ends_ms, most)

    def put(self, item: Item) -> None:
        """Appends the item; an item that is in the lane keeps its place."""
        if item.name in self.items:
            return
        if item.body is not None and self.bodies >= HELD:
            item.body = None
        self.bodies += item.body is not None
        self.items[item.name] = item

    def is_first(self, message: WebhookMessage) -> bool:
        """False for a repetition of a notice of the kind that is issued repeatedly."""
        if message.kind != NotificationKind.IMPERSONATION:
            return True
        was_issued = message.name in self.once
        self.once.add(message.name)
        return not was_issued

    def take(self, name: str) -> None:
        item = self.items.pop(name, None)
        if item is not None:
            self.bodies -= item.body is not None
        if self.trying is not None and self.trying.message_id == name:
            self.trying = None

    def read(self, item: Item, message: WebhookMessage) -> None:
        """Takes the kind and body of an item from the log."""
        self.bodies += item.body is None
        item.kind, item.body, item.noticed_ms = message.kind, message.body, message.noticed_ms


def _while(items: Iterable[Item], holds: Callable[[Item], bool], most: int) -> list[Item]:
    leading: list[Item] = []
    for item in items:
        if len(leading) >= most or not holds(item):
            break
        leading.append(item)
    return leading


class Lanes:
    """The lanes of one partition. `marks`: the offset of the next mark."""

    def __init__(self) -> None:
        self._known: dict[str, Endpoints] = {}
        self._lanes: dict[str, dict[str, Lane]] = {}
        self.marks = 0

    def __iter__(self) -> Iterator[Lane]:
        for lanes in self._lanes.values():
            yield from lanes.values()

    def has(self, recipient: str) -> bool:
        """Whether the recipient has a lane."""
        return bool(self._lanes.get(recipient))

    def known(self, institution: str) -> Endpoints | None:
        return self._known.get(institution)

    def registered(self, registration: Endpoints, at_ms: int) -> list[Lane]:
        """Replaces an institution's endpoints and returns the new lanes."""
        previous = self._known.get(registration.institution)
        if previous is not None and registration.revision <= previous.revision:
            return []
        self._known[registration.institution] = registration
        before, lanes, new = self._lanes.get(registration.institution, {}), {}, []
        for endpoint in registration.endpoints:
            lane = before.pop(endpoint.endpoint_id, None)
            if lane is None:
                new.append(lane := Lane(endpoint, at_ms))
            elif (lane.stopped or lane.endpoint.disabled_at is not None) and endpoint.disabled_at is None:
                lane.trying, lane.failing = None, False
            lane.endpoint, lane.stopped = endpoint, False
            lanes[endpoint.endpoint_id] = lane
        for lane in before.values():
            lane.is_removed = True
            lane.items.clear()
        self._lanes[registration.institution] = lanes
        return new

    def issued(self, message: WebhookMessage, recipient: str, place: int, at_ms: int, only: Lane | None = None) -> None:
        """Adds a notice from the log. `only`: a lane that was not known when the notice was read first. A notice that no inbox
        shows any more is written again after a lost offset, but never sent."""
        if message.noticed_ms + _KEPT_MS <= at_ms:
            return
        for lane in [only] if only is not None else self._lanes.get(recipient, {}).values():
            if lane.since_ms <= at_ms and lane.endpoint.takes(message.kind) and lane.is_first(message):
                lane.put(
                    Item(
                        message.name,
                        message.notification_id,
                        place,
                        self.marks,
                        at_ms,
                        message.noticed_ms,
                        message.kind,
                        message.body,
                    )
                )

    def marked(self, mark: DeliveryMark, place: int, at_ms: int) -> bool:
        """Applies a mark from the log. False if it redelivers a notice without giving its offset."""
        name, is_placed = id_of(mark.recipient, mark.notification_id), True
        for endpoint_id, lane in self._lanes.get(mark.recipient, {}).items():
            own = mark.endpoint_id in (None, endpoint_id)
            if mark.state is DeliveryState.ACKNOWLEDGED or (mark.channel == "webhook" and own and mark.state in _ENDS):
                lane.take(name)
            elif mark.state is DeliveryState.REDELIVERED and own:
                is_placed = self._again(lane, mark, name, place, at_ms) and is_placed
        self.marks = place + 1
        return is_placed

    def _again(self, lane: Lane, mark: DeliveryMark, name: str, place: int, at_ms: int) -> bool:
        item = lane.items.get(name)
        if item is not None:  # on its way already: from the beginning
            item.begun_ms = at_ms
            if lane.trying is not None and lane.trying.message_id == name and not lane.at_work:
                lane.trying = None
            return True
        if mark.notification_offset is None:
            return False
        noticed_ms = at_ms if mark.notified_at is None else instant_ms(mark.notified_at)
        lane.put(Item(name, mark.notification_id, mark.notification_offset, place, at_ms, noticed_ms, again=True))
        return True

    def lowest(self, issued: int, marks: int) -> tuple[int, int]:
        """The offsets from which notices and marks must be read to find all pending items. `issued`, `marks`: the next ones."""
        for lane in self:
            first = next((item for item in lane.items.values() if not item.again), None)
            issued = issued if first is None else min(issued, first.place)
            head = lane.head
            marks = marks if head is None else min(marks, head.marked)
        return issued, marks
