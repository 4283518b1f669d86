"""Lanes: what is issued again and again under one name is sent once."""

from __future__ import annotations

from schemas.notices import NoticeKind
from schemas.notifications.delivery import DeliveryMark, DeliveryState
from schemas.notifications.webhook import Endpoints, WebhookEndpoint
from stream_processors.webhooks.delivery_queue import Lane, Lanes
from stream_processors.webhooks.payload import WebhookMessage, id_of
from tests.support.builders import T0, T0_MS

NOTICE, WHO = "imitated/icbc/630202/2026-03-02", "bank-icbc"


def lanes() -> tuple[Lanes, Lane]:
    endpoint = WebhookEndpoint.trusted(
        endpoint_id="ep-1", institution=WHO, url="https://hooks.bank.example", kinds=("imitated", "clock"), changed_at=T0
    )
    found = Lanes()
    (lane,) = found.registered(Endpoints.trusted(institution=WHO, revision=1, change_id="c", endpoints=(endpoint,)), T0_MS)
    return found, lane


def issue(found: Lanes, place: int, kind: NoticeKind = NoticeKind.IMITATED) -> None:
    found.issued(WebhookMessage(id_of(WHO, NOTICE), kind.value, NOTICE, T0_MS, b"{}"), WHO, place, T0_MS + place)


def took(found: Lanes, place: int) -> None:
    found.marked(
        DeliveryMark(recipient=WHO, notice_id=NOTICE, state=DeliveryState.RECEIVED, at=T0, way="webhook", endpoint="ep-1"),
        place,
        T0_MS + place,
    )


def test_a_notice_that_several_cases_ask_for_is_sent_once_also_after_it_was_taken():
    found, lane = lanes()
    issue(found, 0)
    issue(found, 1)
    assert len(lane.items) == 1
    took(found, 0)
    issue(found, 2)
    assert lane.items == {}


def test_any_other_notice_that_comes_again_is_sent_again():
    found, lane = lanes()
    issue(found, 0, NoticeKind.CLOCK)
    took(found, 0)
    issue(found, 1, NoticeKind.CLOCK)
    assert len(lane.items) == 1
