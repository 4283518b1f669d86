"""Webhook endpoints of an institution: registration, rotation of secrets, disabling. Pure except for the sealing nonce; random
bytes are an argument.

Invariant: a secret is returned once, to the request that created it, and is sealed everywhere else; so is an address.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from schemas.common import AtMost, Strict
from schemas.notifications.webhook import MOST_SECRETS, Secret, Wanted, WebhookEndpoint
from schemas.parsing import BodyFault, Refused
from schemas.security.sealing import Sealer
from stream_processors.domain.refusal import Refusal
from stream_processors.webhooks import signing as sign
from stream_processors.webhooks import url_guard as guard
from stream_processors.webhooks.policy import Calls, Hooks

INVALID = "invalid-endpoint"


class EndpointIn(Strict):
    """The body of a registration: `{"url": "https://hooks.bank.example/liandong", "kinds": ["order", "early_warning"]}`."""

    url: str = Field(min_length=1, max_length=8192)
    kinds: Annotated[tuple[Wanted, ...], Field(min_length=1), AtMost(32)]


def faults_of(body: EndpointIn, *, calls: Calls, kinds: Collection[str]) -> tuple[BodyFault, ...]:
    """The faults of a registration by place. `kinds`: all kinds of message."""
    target = guard.target_of(body.url, calls)
    faults = [BodyFault("/url", target.why)] if isinstance(target, Refusal) else []
    for number, kind in enumerate(body.kinds):
        if not any(existing == kind or existing.startswith(f"{kind}.") for existing in kinds):
            faults.append(BodyFault(f"/kinds/{number}", f"unknown kind; the kinds are {', '.join(sorted(kinds))}"[:300]))
        elif kind in body.kinds[:number]:
            faults.append(BodyFault(f"/kinds/{number}", "the kind occurs twice"))
    return tuple(faults)


def register(
    body: EndpointIn,
    *,
    institution: str,
    endpoint_id: str,
    random_bytes: bytes,
    sealer: Sealer,
    known: Collection[str],
    hooks: Hooks,
    now: datetime,
) -> tuple[WebhookEndpoint, str]:
    """The registration and its secret, which is shown only now. Refused (`invalid-endpoint`) with a fault for each place."""
    if faults := faults_of(body, calls=hooks.calls, kinds=known):
        raise Refused(INVALID, f"{faults[0].pointer}: {faults[0].detail}", faults)
    text = sign.secret_of(random_bytes)
    endpoint = WebhookEndpoint.trusted(
        endpoint_id=endpoint_id,
        institution=institution,
        url=masked(body.url),
        url_sealed=sealer.seal(body.url, f"{endpoint_id}/url"),
        kinds=body.kinds,
        secrets=(_sealed(text, endpoint_id, sealer, now),),
        registered_at=now,
        changed_at=now,
    )
    return endpoint, text


def masked(url: str) -> str:
    """`https://hooks.bank.example/…`: the visible part of an address; its path and query may contain a token."""
    parts = urlsplit(url)
    rest = "" if parts.path in ("", "/") and not parts.query and not parts.fragment else "/…"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{rest}"


def url_of(endpoint: WebhookEndpoint, sealer: Sealer) -> str:
    """The whole address. UnsealError if its key is missing."""
    return sealer.unseal(endpoint.url_sealed, f"{endpoint.endpoint_id}/url")


def rotate(
    endpoint: WebhookEndpoint, *, random_bytes: bytes, sealer: Sealer, hooks: Hooks, now: datetime, at_once: bool = False
) -> tuple[WebhookEndpoint, str]:
    """A new secret. Earlier ones keep signing for a while, except with `immediately` (somebody else has them)."""
    until = now if at_once else now + timedelta(seconds=hooks.overlap_s)
    retained = tuple(_ending(secret, until) for secret in endpoint.secrets if _live(secret, now) and until > now)
    if len(retained) >= MOST_SECRETS:
        detail = f"{MOST_SECRETS} secrets are active; wait until the oldest expires, or replace them with `immediately`"
        raise Refused(INVALID, detail, ())
    text = sign.secret_of(random_bytes)
    secrets = (_sealed(text, endpoint.endpoint_id, sealer, now), *retained)
    return endpoint.model_copy(update={"secrets": secrets, "changed_at": now}), text


def live_secrets(endpoint: WebhookEndpoint, sealer: Sealer, now: datetime) -> Sequence[str]:
    """The secrets to sign with at `now`, newest first. UnsealError if a key is missing."""
    return [sealer.unseal(secret.sealed, _context(endpoint.endpoint_id)) for secret in endpoint.secrets if _live(secret, now)]


def disable(endpoint: WebhookEndpoint, why: str, now: datetime) -> WebhookEndpoint:
    """Nothing is sent there any more: it answered 410, or somebody disabled it. The first reason stays."""
    if endpoint.disabled_at is not None:
        return endpoint
    return endpoint.model_copy(update={"disabled_at": now, "disabled_reason": why[:300], "changed_at": now})


def enable(endpoint: WebhookEndpoint, now: datetime) -> WebhookEndpoint:
    """Messages go there again."""
    return endpoint.model_copy(update={"disabled_at": None, "disabled_reason": None, "changed_at": now})


def _context(endpoint_id: str) -> str:
    return f"{endpoint_id}/secret"


def _sealed(text: str, endpoint_id: str, sealer: Sealer, now: datetime) -> Secret:
    return Secret.trusted(sealed=sealer.seal(text, _context(endpoint_id)), valid_from=now)


def _live(secret: Secret, now: datetime) -> bool:
    return secret.valid_until is None or now < secret.valid_until


def _ending(secret: Secret, until: datetime) -> Secret:
    """A secret that is being replaced does not live longer through another replacement."""
    return secret.model_copy(update={"valid_until": until if secret.valid_until is None else min(secret.valid_until, until)})
