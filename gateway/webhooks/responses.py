"""Webhook endpoints and their parked notices, as their institution reads them.

Invariant: a secret appears only in the response to the request that registered or replaced it.
"""

from __future__ import annotations

from pydantic import BaseModel

from schemas.common import Instant
from schemas.notices import told
from schemas.notifications.webhook import KINDS, MOST_ENDPOINTS, Endpoints, WebhookEndpoint
from stream_processors.views.inbox import Entry


class HookOut(BaseModel):
    """`state` is on or off; `disabled_reason`: you paused it, or it answered 410. `secrets`: how many sign, two during a
    replacement."""

    endpoint_id: str
    url: str
    kinds: list[str]
    state: str
    registered_at: Instant
    changed_at: Instant
    disabled_at: Instant | None = None
    disabled_reason: str | None = None
    secrets: int


class HookSecretOut(HookOut):
    """`secret` is shown this once: store it. A lost one can only be replaced."""

    secret: str


class HooksOut(BaseModel):
    """Your endpoints, at most `max_endpoints`, and all kinds of message."""

    endpoints: list[HookOut]
    max_endpoints: int
    available_kinds: list[str]


class ParkedNotificationOut(BaseModel):
    """A notice that the endpoint did not accept: when it was parked, after how many tries, and why. The inbox has it."""

    notification_id: str
    kind: str
    template: str
    zh: str
    en: str
    at: Instant
    case_id: str
    order_id: str | None = None
    dissuasion_id: str | None = None
    parked_at: Instant
    attempts: int
    reason: str | None = None


class ParkedOut(BaseModel):
    """The newest first; `has_more`: there are others."""

    endpoint_id: str
    parked: list[ParkedNotificationOut]
    has_more: bool


class RedeliveredOut(BaseModel):
    """Notices that are redelivered under their old ids; `has_more`: others are still parked."""

    endpoint_id: str
    redelivered: list[str]
    has_more: bool


def hook_out(endpoint: WebhookEndpoint, now: Instant) -> HookOut:
    return HookOut(**_fields_of(endpoint, now))


def secret_out(endpoint: WebhookEndpoint, secret: str, now: Instant) -> HookSecretOut:
    return HookSecretOut(**_fields_of(endpoint, now), secret=secret)


def _fields_of(endpoint: WebhookEndpoint, now: Instant) -> dict[str, object]:
    return {
        "endpoint_id": endpoint.endpoint_id,
        "url": endpoint.url,
        "kinds": list(endpoint.kinds),
        "state": "on" if endpoint.disabled_at is None else "off",
        "registered_at": endpoint.registered_at,
        "changed_at": endpoint.changed_at,
        "disabled_at": endpoint.disabled_at,
        "disabled_reason": endpoint.disabled_reason,
        "secrets": sum(secret.valid_until is None or now < secret.valid_until for secret in endpoint.secrets),
    }


def hooks_out(registered: Endpoints | None, now: Instant) -> HooksOut:
    endpoints = registered.endpoints if registered is not None else ()
    return HooksOut(
        endpoints=[hook_out(endpoint, now) for endpoint in endpoints], max_endpoints=MOST_ENDPOINTS, available_kinds=list(KINDS)
    )


def parked_out(entry: Entry) -> ParkedNotificationOut:
    notice, parked = entry.issued.notification, entry.delivery.parked
    assert parked is not None
    wording = told(notice)
    return ParkedNotificationOut(
        notification_id=notice.notification_id,
        kind=notice.kind.value,
        template=notice.template,
        zh=wording.zh,
        en=wording.en,
        at=notice.at,
        case_id=notice.case_id,
        order_id=notice.order_id,
        dissuasion_id=notice.dissuasion_id,
        parked_at=parked.at,
        attempts=parked.attempt,
        reason=entry.delivery.detail,
    )
