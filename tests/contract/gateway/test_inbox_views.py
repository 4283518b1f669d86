"""Inboxes, endpoints and parked notices: pages by cursor, what is not received, what became of each, what is parked where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.notifications.delivery import DeliveryMark, Issued
from stream_processors.views.api import Views
from stream_processors.views.inbox import Entry, member_of, name_of
from tests.contract.gateway.folded import Folded
from tests.support.deliveries import mark, notice
from tests.support.hooks import endpoint, registered

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
END = 1 << 52


def issue(n: int, recipient: str = "bank-001", second: int = 0) -> Issued:
    return Issued(notification=notice(n, recipient, NOW + timedelta(seconds=second)))


def said(state: str, n: int = 0, second: int = 0, **over: Any) -> DeliveryMark:
    return mark(state, n, at=NOW + timedelta(seconds=second), **{"notified_at": NOW, **over})


def ids(entries: list[Entry]) -> list[str]:
    return [one.issued.notification.notification_id for one in entries]


def named(*numbers: int) -> list[str]:
    return [f"act-{n}/case-1/0" for n in numbers]


@pytest.fixture
def views(folded: Folded) -> Views:
    return folded.views


async def test_an_inbox_is_read_on_from_a_cursor_and_holds_its_recipient_s_notices_alone(folded: Folded, views: Views):
    await folded.issued(*(issue(n, f"bank-00{1 + n % 2}") for n in range(8)), issue(8))
    first = await views.inbox("bank-001", after=-1, limit=2)
    assert (ids(first.entries), first.more) == (named(0, 2), True)
    assert [one.offset for one in first.entries] == [7, 27] and first.log
    rest = await views.inbox("bank-001", after=27, limit=3)
    assert (ids(rest.entries), rest.more, rest.log) == (named(4, 6, 8), False, first.log)
    assert (await views.inbox("bank-001", after=28, limit=1)).entries == rest.entries[:1]
    for after in (87, END):
        assert (await views.inbox("bank-001", after=after, limit=3))[1:] == ([], False)
    assert (await views.inbox("bank-nothing", after=-1, limit=3))[1:] == ([], False)
    assert rest.entries[0].issued == issue(4)


async def test_a_notice_that_comes_twice_keeps_its_first_place(folded: Folded, views: Views):
    await folded.issued(issue(0))
    await folded.issued(issue(0))
    found = (await views.inbox("bank-001", after=-1, limit=5)).entries
    assert [(one.offset, one.issued) for one in found] == [(7, issue(0))]


async def test_what_is_not_received_is_told_up_to_a_place_with_it(folded: Folded, views: Views):
    await folded.issued(*(issue(n) for n in range(5)))
    await folded.marked(said("received", 1), said("acknowledged", 2, channel="api"), said("parked", 3, channel="webhook"))
    assert ids(await views.unreceived("bank-001", upto=END, limit=9)) == named(0, 3, 4)
    assert ids(await views.unreceived("bank-001", upto=37, limit=9)) == named(0, 3)
    assert ids(await views.unreceived("bank-001", upto=36, limit=9)) == named(0)
    assert ids(await views.unreceived("bank-001", upto=END, limit=2)) == named(0, 3)
    assert await views.unreceived("bank-001", upto=6, limit=9) == await views.unreceived("bank-002", upto=END, limit=9) == []


async def test_one_notice_is_found_by_its_name_in_its_own_inbox_with_its_place(folded: Folded, views: Views):
    await folded.issued(issue(0), issue(1))
    name = name_of(member_of("bank-001", "act-1/case-1/0", 0))
    found = await views.noticed("bank-001", name)
    assert found is not None and (found.offset, found.issued) == (17, issue(1))
    assert await views.noticed("bank-002", name) is None
    assert await views.noticed("bank-001", name_of(member_of("bank-001", "act-9/case-1/0", 0))) is None


async def test_the_notices_of_a_case_are_told_with_whom_they_went_to_the_oldest_first(folded: Folded, views: Views):
    await folded.issued(issue(0, second=2), issue(1, "bank-002", 1), issue(2, second=3))
    await folded.marked(said("received", 1, recipient="bank-002"))
    found = await views.of_case("case-1")
    assert [(one.recipient, one.entry.issued, one.entry.offset) for one in found] == [
        ("bank-002", issue(1, "bank-002", 1), -1),
        ("bank-001", issue(0, second=2), -1),
        ("bank-001", issue(2, second=3), -1),
    ]
    assert [one.entry.delivery.state for one in found] == ["received", "sent", "sent"]
    assert await views.of_case("case-2") == []


async def _delivery(views: Views) -> Any:
    (entry,) = (await views.inbox("bank-001", after=-1, limit=5)).entries
    return entry.delivery


async def test_of_the_proofs_the_earliest_counts_and_of_the_others_the_latest(folded: Folded, views: Views):
    await folded.issued(issue(0))
    for s in (3, 9, 6):
        await folded.marked(said("parked", second=s, channel="webhook", attempt=s, detail=f"try {s}"))
        await folded.marked(said("redelivered", second=s - 1, channel="api"))
    told = await _delivery(views)
    assert (told.state, told.parked.at, told.parked.attempt, told.detail) == ("parked", NOW + timedelta(seconds=9), 9, "try 9")
    assert told.redelivered == (NOW + timedelta(seconds=8), "api", 1)
    await folded.marked(said("redelivered", second=12, channel="api"), said("sent", second=13))
    assert (await _delivery(views)).state == "redelivered"
    await folded.marked(*(said("received", second=s, channel=way) for s, way in ((30, "poll"), (20, "stream"), (25, "webhook"))))
    told = await _delivery(views)
    assert (told.state, told.received) == ("received", (NOW + timedelta(seconds=20), "stream", 1))
    await folded.marked(*(said("acknowledged", second=s, channel="api") for s in (50, 40)))
    told = await _delivery(views)
    assert (told.state, told.acknowledged.at) == ("acknowledged", NOW + timedelta(seconds=40))


async def test_of_two_marks_of_one_moment_the_same_counts_in_either_order(folded: Folded, views: Views):
    marks = [said("received", second=1, channel=way) for way in ("webhook", "poll", "api")]
    tries = [said("parked", second=1, channel="webhook", attempt=n, detail=f"try {n}") for n in (2, 3, 1)]
    await folded.issued(issue(0))
    await folded.marked(*marks, *tries)
    told = await _delivery(views)
    assert (told.received.way, told.parked.attempt, told.detail) == ("poll", 3, "try 3")


async def test_a_mark_may_come_before_its_notice(folded: Folded, views: Views):
    await folded.marked(said("received"))
    await folded.issued(issue(0))
    assert (await _delivery(views)).state == "received"
    assert await views.unreceived("bank-001", upto=END, limit=5) == []


async def test_of_two_records_of_endpoints_with_one_revision_the_first_counts_and_a_newer_one_replaces_it(
    folded: Folded, views: Views
):
    one, two = endpoint("hook-1", at=NOW)[0], endpoint("hook-2", at=NOW)[0]
    assert await views.endpoints("bank-001") is None
    first, loser, newer = registered(one), registered(two), registered(one, two, revision=2)
    await folded.registered(first)
    await folded.registered(loser)
    assert await views.endpoints("bank-001") == first
    await folded.registered(newer)
    await folded.registered(loser)
    assert await views.endpoints("bank-001") == newer
    assert await views.endpoints("bank-002") is None


async def test_parked_notices_are_listed_newest_first_by_endpoint_with_their_place(folded: Folded, views: Views):
    await folded.issued(*(issue(n) for n in range(4)), issue(9, "bank-002"))
    tried: dict[str, Any] = {"channel": "webhook", "attempt": 40, "detail": "given up"}
    await folded.marked(*(said("parked", n, n, endpoint_id="hook-1", **tried) for n in range(4)))
    await folded.marked(said("parked", 0, 9, endpoint_id="hook-2", **tried), said("parked", 7, 9, endpoint_id="hook-1", **tried))
    listed = await views.parked("bank-001", "hook-1", limit=3)
    assert (ids(listed.entries), listed.more) == (named(3, 2, 1), True)
    assert [one.offset for one in listed.entries] == [37, 27, 17]
    assert ids((await views.parked("bank-001", "hook-2", limit=3)).entries) == named(0)
    assert await views.parked("bank-001", "hook-3", limit=3) == await views.parked("bank-002", "hook-1", limit=3) == ([], False)


@pytest.mark.parametrize(
    ("state", "over", "left"),
    [
        ("redelivered", {"endpoint_id": "hook-1"}, 0),
        ("redelivered", {}, 0),
        ("acknowledged", {}, 0),
        ("received", {"endpoint_id": "hook-1", "channel": "webhook"}, 0),
        ("received", {"channel": "poll"}, 1),
        ("redelivered", {"endpoint_id": "hook-2"}, 0),
    ],
)
async def test_what_came_since_takes_a_notice_off_the_list(
    folded: Folded, views: Views, state: str, over: dict[str, str], left: int
):
    await folded.issued(issue(0))
    await folded.marked(said("parked", 0, 1, endpoint_id="hook-1", channel="webhook"), said(state, 0, 2, **over))
    assert len((await views.parked("bank-001", "hook-1", limit=9)).entries) == left
    await folded.marked(said("parked", 0, 3, endpoint_id="hook-1", channel="webhook"))
    assert len((await views.parked("bank-001", "hook-1", limit=9)).entries) == (0 if state == "acknowledged" else 1)
