"""Keyed tokens for matching subjects: HMAC-SHA-256 over kind and canonical form, cut to 128 bits.

Invariant: without the key nobody can make a token or reverse it by trying all phone numbers. The version names the key.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64

from schemas.security.keyring import Keyring
from schemas.signals.indicators import MATCHED_AS

_SEPARATOR = "\x1f"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Tokenizer:
    """`token("phone", "+8613800001234") -> "k1.Zk9…"` (22 characters of base64url after the version)."""

    def __init__(self, keyring: Keyring) -> None:
        self._version = keyring.current
        self._keyed = hmac.new(keyring.token_key(keyring.current), digestmod="sha256")
        self._lasting = hmac.new(keyring.token_key(keyring.oldest), digestmod="sha256")

    def token(self, *parts: str) -> str:
        return f"{self._version}.{_digest(self._keyed, parts)}"

    def subject(self, kind: str, value: str) -> str:
        """The token of an indicator. A card and an account of one number have one token: banks report cards, others accounts."""
        return self.token(MATCHED_AS.get(kind, kind), value)

    def lasting(self, *parts: str) -> str:
        """Returns 22 characters that survive a key change: made with the oldest key, which is never removed."""
        return _digest(self._lasting, parts)


def _digest(keyed: hmac.HMAC, parts: tuple[str, ...]) -> str:
    # A copy of the keyed state is half the cost of keying anew; a signal has five tokens and more.
    state = keyed.copy()
    state.update(_SEPARATOR.join(parts).encode())
    return b2a_base64(state.digest()[:16]).translate(_URL_SAFE)[:22].decode()
