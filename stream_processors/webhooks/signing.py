"""Signatures of webhooks according to the Standard Webhooks specification 1.0.0 (symmetric, `v1`). Pure.

The signature covers `id.timestamp.body`, with HMAC-SHA-256. Invariant: `verify` accepts exactly what `headers` signed with the
same secret, while its time is near; the time of a comparison reveals nothing about the signature.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

PREFIX = "whsec_"
SCHEME = "v1"
TOLERANCE_S = 300
KEY_BYTES = (24, 64)
"""Least and most bytes of a secret, as the specification sets them."""
SIGNATURES_READ = 16
"""Signatures of a received list that are checked at most."""

# Without a full stop: it would let one message be read as another id and time.
_ID = re.compile(r"[A-Za-z0-9_-]{1,160}", re.ASCII)
_TIME = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


class BadSignature(ValueError):
    """The message is forged, was changed, or is too old."""


def secret_of(random_bytes: bytes) -> str:
    """`whsec_` and base64 of 24 to 64 random bytes from the caller."""
    least, most = KEY_BYTES
    if not least <= len(random_bytes) <= most:
        raise ValueError(f"a secret must have {least} to {most} bytes, not {len(random_bytes)}")
    return PREFIX + b64encode(random_bytes).decode()


def key_of(secret: str) -> bytes:
    """The key of a `whsec_` secret. ValueError, which repeats nothing of it, if it is invalid."""
    try:
        key = b64decode(secret.removeprefix(PREFIX).encode("ascii"), validate=True)
    except ValueError:
        key = b""
    least, most = KEY_BYTES
    if not secret.startswith(PREFIX) or not least <= len(key) <= most:
        raise ValueError(f"a secret must be {PREFIX} and the base64 of {least} to {most} bytes")
    return key


def signature(secret: str, message_id: str, at_s: int, body: bytes) -> str:
    """`v1,` and base64, of one secret. `at_s`: Unix seconds of the attempt."""
    if not _ID.fullmatch(message_id):
        raise ValueError("a message id must be 1 to 160 letters, digits, hyphens and underscores")
    return f"{SCHEME},{b64encode(_mac(key_of(secret), message_id, at_s, body)).decode()}"


def _mac(key: bytes, message_id: str, at_s: int, body: bytes) -> bytes:
    return hmac.digest(key, f"{message_id}.{at_s}.".encode() + body, "sha256")


def headers(secrets: Sequence[str], *, message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of one attempt, signed with each secret in turn. The id is the same in all attempts, the time is not."""
    if not secrets:
        raise ValueError("a message requires at least one secret to be signed with")
    at_s = int(sent_at.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signature(secret, message_id, at_s, body) for secret in secrets),
    }


def verify(
    secrets: Iterable[str], received: Mapping[str, str], body: bytes, *, now: datetime, tolerance_s: int = TOLERANCE_S
) -> str:
    """The message's id, if one of its signatures matches one of the secrets. `received`: headers with lower-case names, `body`
    the bytes as received. BadSignature gives the fault."""
    message_id, at = received.get("webhook-id", ""), received.get("webhook-timestamp", "")
    if not _ID.fullmatch(message_id):
        raise BadSignature("webhook-id is missing or not valid")
    if not _TIME.fullmatch(at):
        raise BadSignature("webhook-timestamp is missing or not a number of seconds")
    if abs(now.timestamp() - int(at)) > tolerance_s:
        raise BadSignature("webhook-timestamp is too far from the current time")
    signatures = _signatures(received.get("webhook-signature", ""))
    if not signatures:
        raise BadSignature(f"webhook-signature contains no signature of the scheme {SCHEME}")
    good = False
    for secret in secrets:
        right = b64encode(_mac(key_of(secret), message_id, int(at), body))
        for candidate in signatures:
            good |= hmac.compare_digest(right, candidate)
    if not good:
        raise BadSignature("no signature matches a known secret")
    return message_id


def _signatures(header: str) -> list[bytes]:
    """The signatures of our scheme. Others (`v1a`) are not checked."""
    pairs = (part.partition(",") for part in header.split(" ")[:SIGNATURES_READ])
    return [value.encode() for scheme, _, value in pairs if scheme == SCHEME and value]
