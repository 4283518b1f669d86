"""The receipt number of a tip. Nothing is stored: the number gives the tip's reference, and the reference its signal.

Invariant: a number cannot be guessed (100 bits) or derived from the log.
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta

from schemas.security import Tokenizer
from schemas.security.signal_protection import signal_id
from schemas.signals.submission import PUBLIC

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH, _GROUP = 20, 4
_KEY_LASTS = timedelta(days=1)
_READ = str.maketrans("OIL", "011", " -")


_KEY = re.compile(r"([0-9a-f]{8,9})\.[A-Za-z0-9_-]{22}", re.ASCII)


def fresh_key(now: datetime) -> str:
    """A name for one tip with its issue time, which is the tip's default time, so that a retry is the same tip."""
    return f"{int(now.timestamp()):x}.{secrets.token_urlsafe(16)}"


def issued(key: str, now: datetime) -> datetime | None:
    """When `fresh_key` issued this key; None for a sender's own key, or an old one."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    at = datetime.fromtimestamp(int(match[1], 16), UTC)
    return at if now - _KEY_LASTS <= at <= now else None


def number_of(tokenizer: Tokenizer, key: str) -> str:
    """The same key gives the same number: `7K3F-…`, five groups of four without I, L, O and U."""
    raw = int.from_bytes(urlsafe_b64decode(tokenizer.lasting("tip number", key) + "=="), "big")
    digits = "".join(_DIGITS[raw >> (5 * place) & 31] for place in range(_LENGTH))
    return "-".join(digits[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))


def read_number(text: str) -> str | None:
    """Reads a number as people write it: small letters, no hyphens, O for 0. None if it cannot be a number."""
    plain = text.upper().translate(_READ)
    if len(plain) != _LENGTH or not set(plain) <= set(_DIGITS):
        return None
    return "-".join(plain[at : at + _GROUP] for at in range(0, _LENGTH, _GROUP))


def reference_of(tokenizer: Tokenizer, number: str) -> str:
    return "tip-" + tokenizer.lasting("tip", number)


def signal_of(tokenizer: Tokenizer, number: str) -> str:
    return signal_id(tokenizer, PUBLIC, reference_of(tokenizer, number))
