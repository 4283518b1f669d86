"""Keyed tokens: what subjects are matched by. HMAC-SHA-256 over kind and canonical form, cut to 128 bits.

Invariant: without the key a token can be neither made nor reversed by trying all phone numbers; the version names the key.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode

from schemas.protect.keyring import Keyring

_SEPARATOR = "\x1f"


class Tokenizer:
    """`token("phone", "+8613800001234") -> "k1.Zk9…"` (22 characters of base64url after the version)."""

    def __init__(self, keyring: Keyring) -> None:
        self._version = keyring.current
        self._key = keyring.token_key(keyring.current)

    def token(self, *parts: str) -> str:
        digest = hmac.digest(self._key, _SEPARATOR.join(parts).encode(), "sha256")
        return f"{self._version}.{urlsafe_b64encode(digest[:16])[:22].decode()}"
