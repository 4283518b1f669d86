"""Verification for an institution's endpoint: `verify_webhook` checks that a call is from the gateway, unchanged and fresh.

Standard Webhooks 1.0.0, symmetric. Invariant: no part of a message is read before a signature is valid, and the time that this
takes reveals nothing about the valid one.
"""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ClientError

TOLERANCE_S = 300
_PREFIX = "whsec_"
_SIGNATURES_READ = 16


class BadWebhook(ClientError):
    """Not from the gateway, changed, or too old: answer 401 and do nothing."""


@dataclass(frozen=True)
class ReceivedWebhook:
    """`id` is the same in every attempt: process it once. `data` contains the notice's id, its sentence, ids of case and order,
    and the `link` to the rest."""

    id: str
    type: str
    data: Mapping[str, Any]


def verify_webhook(
    secrets: str | Iterable[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> ReceivedWebhook:
    """Returns the message. `secrets`: yours, both during a replacement; `headers` with names in any case; `body`: the bytes as
    received; `now` in Unix seconds. BadWebhook gives the fault."""
    if not 0 <= tolerance_s < float("inf"):
        raise ValueError("tolerance_s must be a finite number of seconds, 0 or more")
    lowered = {name.lower(): value for name, value in headers.items()}
    name, at = lowered.get("webhook-id", ""), lowered.get("webhook-timestamp", "")
    if not name or not (at.isascii() and at.isdigit() and len(at) <= 12):
        raise BadWebhook("webhook-id or webhook-timestamp is missing")
    if abs((time.time() if now is None else now) - int(at)) > tolerance_s:
        raise BadWebhook("the message is too old, or one of the clocks is wrong")
    signatures = [signature.encode() for signature in lowered.get("webhook-signature", "").split(" ")[:_SIGNATURES_READ]]
    good = False
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        mac = hmac.digest(_decode_secret(secret), f"{name}.{at}.".encode() + body, "sha256")
        right = b"v1," + b64encode(mac)
        for signature in signatures:
            good |= hmac.compare_digest(right, signature)
    if not good:
        raise BadWebhook("no signature matches a known secret")
    return _read_message(name, body)


def _decode_secret(secret: str) -> bytes:
    try:
        return b64decode(secret.removeprefix(_PREFIX).encode("ascii"), validate=True)
    except ValueError:
        raise ValueError(f"a secret must be {_PREFIX} and base64, as the gateway returned it") from None


def _read_message(name: str, body: bytes) -> ReceivedWebhook:
    try:
        message = json.loads(body)
        return ReceivedWebhook(name, str(message["type"]), dict(message["data"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadWebhook("the message is signed, but this version does not support its form") from None
