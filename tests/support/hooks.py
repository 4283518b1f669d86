"""Institutions that are called: receivers in memory that verify what comes and answer what a test says, and their endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from schemas.codec import encode
from schemas.envelope import Origin
from schemas.notices import Notification
from schemas.notifications.webhook import KINDS, Endpoints, WebhookEndpoint
from schemas.topics import CASE_CHANGES, DELIVERIES, ENDPOINTS, NOTIFICATIONS
from stream_processors.webhooks import signing as sign
from stream_processors.webhooks.endpoints import EndpointIn, register
from stream_processors.webhooks.payload import id_of
from stream_processors.webhooks.policy import Hooks
from stream_processors.webhooks.responses import Answer, CallOutcome, of_status
from tests.support.builders import SEALER, T0
from tests.support.clock import Clock

ALL = ("order", "release", "feedback")


class Receivers:
    """`says[url]` is what an endpoint answers: a status, an Answer, an error to raise, or an event to wait for. 200 unless told
    otherwise. `got[url]`: the webhook-ids that it took, in order; `calls` every one with its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.says: dict[str, Any] = {}
        self.got: dict[str, list[str]] = {}
        self.told: dict[str, bytes] = {}
        self.calls: list[tuple[str, str, datetime]] = []
        self.secrets: dict[str, str] = {}
        self.under_way = self.most_under_way = 0

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
        self.calls.append((url, headers["webhook-id"], now))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            says = self.says.get(url, 200)
            if isinstance(says, asyncio.Event):
                await says.wait()
                says = 200
            if isinstance(says, Exception):
                raise says
            answer = says if isinstance(says, Answer) else of_status(says, None, now, "203.0.113.1")
            if answer.outcome is CallOutcome.DELIVERED:
                self._take(url, headers, body, now)
            await asyncio.sleep(0)
            return answer
        finally:
            self.under_way -= 1

    def _take(self, url: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        name = headers["webhook-id"]
        if url in self.secrets:
            assert sign.verify([self.secrets[url]], headers, body, now=now) == name
        data = orjson.loads(body)["data"]
        assert self.told.setdefault(name, body) == body, "the same message is the same bytes"
        assert "notification_id" in data
        self.got.setdefault(url, []).append(name)

    def firsts(self, url: str) -> list[str]:
        """What a receiver that knows repeats by their webhook-id has, in order."""
        return list(dict.fromkeys(self.got.get(url, [])))


def url_of(endpoint_id: str) -> str:
    return f"https://{endpoint_id}.bank.example/in"


def endpoint(
    endpoint_id: str = "hook-1", institution: str = "bank-001", kinds: tuple[str, ...] = ALL, at: datetime = T0
) -> tuple[WebhookEndpoint, str]:
    """A registration and its secret."""
    return register(
        EndpointIn(url=url_of(endpoint_id), kinds=kinds),
        institution=institution,
        endpoint_id=endpoint_id,
        random_bytes=endpoint_id.encode().ljust(32, b"."),
        sealer=SEALER,
        known=KINDS,
        hooks=Hooks(),
        now=at,
    )


def registered(*found: WebhookEndpoint, institution: str = "bank-001", revision: int = 1) -> Endpoints:
    return Endpoints(institution=institution, revision=revision, change_id=f"change-{revision}", endpoints=found)


def endpoints_record(one: Endpoints, at: datetime = T0) -> tuple[bytes, bytes]:
    actor = f"institution:{one.institution}"
    value = encode(ENDPOINTS, one, id=one.change_id, source="/gateway", actor=actor, time=at, subject=one.institution)
    return one.institution.encode(), value


def notice_record(one: Notification, number: int, order: Any = None) -> tuple[bytes, bytes]:
    """As deliver appends it, out of the change at offset `number`."""
    from schemas.notifications.delivery import Issued

    issued = Issued(notification=one, order=order)
    origin = Origin(CASE_CHANGES.name, 0, number, 0)
    name, time = f"issued-{number}", one.at
    return one.recipient.encode(), encode(
        NOTIFICATIONS, issued, id=name, source="/deliver", actor="stage:deliver", time=time, origin=origin, subject=one.recipient
    )


def hook_id(one: Notification) -> str:
    return id_of(one.recipient, one.notification_id)


def hook_marks(world: Any) -> list[Any]:
    """What the sender said became of notices, in the log's order."""
    from schemas.codec import decode

    found = [decode(DELIVERIES, record.value).data for record in world.log.all(DELIVERIES)]
    return [one for one in found if one.channel == "webhook"]
