"""The client's inbox against the real gateway app: pages, what counts as received, an endless reading, acknowledgement."""

from __future__ import annotations

from itertools import islice

import pytest

from connectors.client import AsyncClient, Client, NotFound, ProblemError
from schemas.notifications.delivery import Issued
from tests.support.deliveries import notice
from tests.unit.connectors.client.conftest import Served


@pytest.fixture
def inbox(served: Served) -> Served:
    for n in range(5):
        served.views.issue(Issued(notification=notice(n)))
    served.views.issue(Issued(notification=notice(9, recipient="bank-002")))
    return served


def _received(served: Served) -> list[str]:
    return [one.issued.notification.notification_id for one in served.views.notices if one.delivery.received is not None]


def test_what_a_page_gave_counts_as_received_when_the_next_is_asked_for(inbox: Served):
    with Client(inbox.url, inbox.token("bank-001")) as client:
        first = client.inbox(limit=2)
        assert [one.notification_id for one in first.items] == ["act-0/case-1/0", "act-1/case-1/0"]
        assert first.has_more
        assert _received(inbox) == []
        second = client.inbox(first.next_cursor, limit=3)
        assert (len(second.items), second.has_more) == (3, False)
        assert _received(inbox) == ["act-0/case-1/0", "act-1/case-1/0"]
        assert client.inbox(second.next_cursor).items == []


def test_all_come_once_and_a_restart_goes_on_at_the_last_cursor(inbox: Served):
    with Client(inbox.url, inbox.token("bank-001")) as client:
        seen = list(islice(client.notices(), 3))
        assert _received(inbox) == [], "none of the page counts before all of it was taken"
    inbox.views.issue(Issued(notification=notice(7)))
    with Client(inbox.url, inbox.token("bank-001")) as client:
        seen += islice(client.notices(seen[-1].cursor), 3)
    assert [one.notification_id.split("/")[0] for one in seen] == ["act-0", "act-1", "act-2", "act-3", "act-4", "act-7"]
    assert {(one.kind, one.template, one.case_id) for one in seen} == {("feedback", "case_seen", "case-1")}
    assert _received(inbox) == [one.notification_id for one in seen[:3]]


async def test_the_asynchronous_one_reads_the_same(inbox: Served):
    async with AsyncClient(inbox.url, inbox.token("bank-001")) as client:
        found = []
        async for one in client.notices():
            found.append(one.notification_id)
            if len(found) == 5:
                break
        assert len(set(found)) == 5
        assert (await client.acknowledge(found[0])).notification_id == found[0]
    (first, *others) = [one for one in inbox.views.notices if one.issued.notification.recipient == "bank-001"]
    assert first.delivery.acknowledged is not None
    assert not any(one.delivery.acknowledged for one in others)


def test_another_s_notice_does_not_exist_and_a_wrong_cursor_is_said(inbox: Served):
    with Client(inbox.url, inbox.token("bank-001")) as client:
        with pytest.raises(NotFound):
            client.acknowledge("act-9/case-1/0")
        with pytest.raises(ProblemError) as caught:
            client.inbox("nonsense")
    assert caught.value.status == 422
