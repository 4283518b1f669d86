"""Webhooks: the endpoints of institutions (`webhooks.endpoints.v1`), and the messages to them.

A record contains all endpoints of an institution, so the newest revision is complete. Invariant: of two records with one revision
the first counts. Secrets are sealed, and a message contains no readable value of a person.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.common import Instant, Name, PartyId, Sealed, Stored
from schemas.notices import NotificationId, NotificationKind
from schemas.orders.kinds import OrderKind

MOST_ENDPOINTS = 3
"""Endpoints of one institution at most."""
MOST_SECRETS = 3
"""Secrets that sign at once: the current one and those that are being replaced."""

KINDS: tuple[str, ...] = (
    *(f"{NotificationKind.ORDER}.{kind}" for kind in OrderKind),
    *(kind.value for kind in NotificationKind if kind is not NotificationKind.ORDER),
)
"""All kinds of message: `order.stop_payment`, `early_warning`, ..."""

Wanted = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31}){0,3}$")]
"""A kind of message (`order.stop_payment`), or a prefix for all kinds that begin with it (`order`)."""


def kind_of(notice: str, order: str | None) -> str:
    """Returns the kind of message for a notice of this kind, about an order of that kind."""
    return f"{notice}.{order}" if notice == NotificationKind.ORDER and order is not None else notice


class Secret(Stored):
    """A sealed secret. `valid_until`: when it stops signing; None for the current one."""

    sealed: Sealed
    valid_from: Instant
    valid_until: Instant | None = None


class WebhookEndpoint(Stored):
    """A registration. `url` shows host and port; `url_sealed` has the whole address, because people put tokens into paths and
    queries. `secrets`: the newest first. `disabled_reason`: why nothing is sent."""

    endpoint_id: Name
    institution: PartyId
    url: str = Field(max_length=8192)
    url_sealed: Sealed
    kinds: Annotated[tuple[Wanted, ...], Field(max_length=32)]
    secrets: Annotated[tuple[Secret, ...], Field(max_length=MOST_SECRETS)]
    registered_at: Instant
    changed_at: Instant
    disabled_at: Instant | None = None
    disabled_reason: str | None = Field(default=None, max_length=300)

    def wants(self, kind: str) -> bool:
        """Whether the endpoint gets messages of the kind now."""
        return self.disabled_at is None and self.takes(kind)

    def takes(self, kind: str) -> bool:
        """Whether messages of the kind are for it, now or after it is enabled again."""
        return any(kind == chosen or kind.startswith(f"{chosen}.") for chosen in self.kinds)


class Endpoints(Stored):
    """All endpoints of an institution from this record on. `revision` is one above the revision that its writer knew; `change_id`
    tells the writer whether its own change counted."""

    institution: PartyId
    revision: int = Field(ge=1, lt=1 << 52)
    change_id: Name
    endpoints: Annotated[tuple[WebhookEndpoint, ...], Field(max_length=MOST_ENDPOINTS)] = ()

    def of(self, endpoint_id: str) -> WebhookEndpoint | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.endpoint_id == endpoint_id), None)


class HookNotification(Stored):
    """A notice as a webhook shows it: `template` is the key of its sentence, `zh` and `en` the sentence, `data` its values.
    `link` leads to the inbox with the subject, the order and its legal basis."""

    notification_id: NotificationId
    kind: str
    template: Name
    zh: str
    en: str
    at: Instant
    case_id: Name
    order_id: Name | None = None
    dissuasion_id: Name | None = None
    data: dict[str, int | str] = {}
    link: str


class HookMessage(Stored):
    """The body of a call according to Standard Webhooks: `type` is the kind of message, `timestamp` the time of the notice."""

    type: str
    timestamp: Instant
    data: HookNotification
