"""Lanes: what is issued again and again under one name is sent once."""

from __future__ import annotations

from schemas.notices import NotificationKind
from schemas.notifications.delivery import DeliveryMark, DeliveryState
from schemas.notifications.webhook import Endpoints, WebhookEndpoint
from stream_processors.webhooks.delivery_queue import Lane, Lanes
from stream_processors.webhooks.payload import WebhookMessage, id_of
from tests.support.builders import T0, T0_MS

NOTICE, WHO = "impersonation/icbc/630202/2026-03-02", "bank-icbc"


def lanes() -> tuple[Lanes, Lane]:
    endpoint = WebhookEndpoint.trusted(
        endpoint_id="ep-1", institution=WHO, url="https://hooks.bank.example", kinds=("impersonation", "deadline"), changed_at=T0
    )
    found = Lanes()
    (lane,) = found.registered(Endpoints.trusted(institution=WHO, revision=1, change_id="c", endpoints=(endpoint,)), T0_MS)
    return found, lane


def issue(found: Lanes, place: int, kind: NotificationKind = NotificationKind.IMPERSONATION) -> None:
    found.issued(WebhookMessage(id_of(WHO, NOTICE), kind.value, NOTICE, T0_MS, b"{}"), WHO, place, T0_MS + place)


def took(found: Lanes, place: int) -> None:
    found.marked(
        DeliveryMark(
            recipient=WHO, notification_id=NOTICE, state=DeliveryState.RECEIVED, at=T0, channel="webhook", endpoint_id="ep-1"
        ),
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
    issue(found, 0, NotificationKind.DEADLINE)
    took(found, 0)
    issue(found, 1, NotificationKind.DEADLINE)
    assert len(lane.items) == 1
