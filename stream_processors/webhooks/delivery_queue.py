"""What is still to be sent: a lane for each endpoint of a partition's institutions, in the order of the log. Pure.

A fold of three topics: the endpoints, the notices that are for them, and the marks that say what became of each. A notice is in
its lane until a mark says that the endpoint took it, that it was given up, or that it was acknowledged by whatever way.
Invariant: nothing leaves a lane because of what is only in memory; whoever folds the same records has the same lanes.
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
"""Bodies of a lane in memory. Later ones are read from the log when it is their turn."""
_KEPT_MS = int(NOTICE_KEPT.total_seconds() * 1000)
_ENDS = (DeliveryState.RECEIVED, DeliveryState.PARKED)


@dataclass(slots=True, eq=False)
class Item:
    """A notice for one endpoint. `place`: its offset among the notices; `marked`: no mark about it stands before this offset.
    `again`: somebody asked for it once more. `body` and `kind` are None until it is read (again) from the log."""

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
    """One endpoint. `since_ms`: notices of before are not for it. `trying`: how it goes with the first item; `at_work`: it is
    being sent; `stopped`: the endpoint wants no more, and the log does not say so yet; `is_removed`: it was taken away; `once`:
    notices that the log holds more than once, whatever asks for them (domain/notifications/imitation.py), of a hub and day."""

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
        """Whether its first item is to be sent now."""
        if self.at_work or not self.open or not self.items:
            return False
        return self.trying is None or self.trying.next_at is None or self.trying.next_at <= now

    @property
    def waits_since_ms(self) -> int:
        """Since when its first item could be sent."""
        if self.trying is not None and self.trying.next_at is not None:
            return instant_ms(self.trying.next_at)
        return self.head.begun_ms if self.head is not None else 0

    def delivery(self, owned_ms: int) -> schedule.Delivery:
        """How it goes with the first item; if it was not tried, from when its time counts: since it was issued, the endpoint was
        switched on or this process took the lane over."""
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
        """What has waited, behind an item that was given up, for as long as that one was tried."""
        ends_ms = instant_ms(now) - retries.give_up_s * 1000
        return _while(self.items.values(), lambda item: self.begun_ms(item, owned_ms) < ends_ms, most)

    def outlived(self, now: datetime, most: int) -> list[Item]:
        """What no inbox shows any more."""
        ends_ms = instant_ms(now) - _KEPT_MS
        return _while(self.items.values(), lambda item: max(item.noticed_ms, item.begun_ms if item.again else 0) < ends_ms, most)

    def put(self, item: Item) -> None:
        """Behind the others; what is there stays where it is."""
        if item.name in self.items:
            return
        if item.body is not None and self.bodies >= HELD:
            item.body = None
        self.bodies += item.body is not None
        self.items[item.name] = item

    def is_first(self, message: WebhookMessage) -> bool:
        """False for what was issued before, of the kind that is issued again and again."""
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
        """What the log says of an item."""
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
    """Those of one partition. `marks`: the next record of the marks."""

    def __init__(self) -> None:
        self._known: dict[str, Endpoints] = {}
        self._lanes: dict[str, dict[str, Lane]] = {}
        self.marks = 0

    def __iter__(self) -> Iterator[Lane]:
        for lanes in self._lanes.values():
            yield from lanes.values()

    def has(self, recipient: str) -> bool:
        """Whether anything of the recipient's is looked at."""
        return bool(self._lanes.get(recipient))

    def known(self, institution: str) -> Endpoints | None:
        return self._known.get(institution)

    def registered(self, registration: Endpoints, at_ms: int) -> list[Lane]:
        """Takes an institution's endpoints as they are from now on; the lanes that are new."""
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
        """A notice is in the log. `only`: it was passed over before this lane was known. What no inbox shows any more is written
        again after a lost place, and called by nobody."""
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
        """A mark is in the log. False when it asks for a notice without saying where that is."""
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
        """From where notices and marks must be read to find again what is pending. `issued`, `marks`: the next of each."""
        for lane in self:
            first = next((item for item in lane.items.values() if not item.again), None)
            issued = issued if first is None else min(issued, first.place)
            head = lane.head
            marks = marks if head is None else min(marks, head.marked)
        return issued, marks
