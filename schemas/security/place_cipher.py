"""Encrypts the position of a record in the log, so that a receipt proves it without revealing the volume of others.

Deterministic (AES-SIV, RFC 5297), so that a retry gets the same receipt. Invariant: a forged receipt does not open, and two
receipts reveal nothing about the distance between their positions.
"""

from __future__ import annotations

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from schemas.security.keyring import Keyring

_PURPOSE = b"liandong receipt"
_NUMBERS = struct.Struct(">HIQ")


class LogPlace(NamedTuple):
    """`generation` counts the recoveries of this partition after a loss at its end."""

    topic: str
    partition: int
    offset: int
    generation: int = 0


class ReceiptError(ValueError):
    """The text is not a receipt of ours, or its key is missing."""


class PlaceCipher:
    """`seal(place) -> "k1.Zk9…"`, and `open` is its inverse."""

    def __init__(self, keyring: Keyring) -> None:
        self._current = keyring.current
        self._ciphers = {version: AESSIV(_derived(keyring.sealing_key(version))) for version in keyring.sealing_keys}

    def seal(self, place: LogPlace) -> str:
        numbers = _NUMBERS.pack(place.partition, place.generation, place.offset)
        sealed = self._ciphers[self._current].encrypt(numbers + place.topic.encode(), [_PURPOSE])
        return f"{self._current}.{urlsafe_b64encode(sealed).decode().rstrip('=')}"

    def open(self, receipt: str) -> LogPlace:
        """ReceiptError if the text is not a receipt of ours."""
        version, _, body = receipt.partition(".")
        try:
            sealed = urlsafe_b64decode(body + "=" * (-len(body) % 4))
            raw = self._ciphers[version].decrypt(sealed, [_PURPOSE])
        except (KeyError, InvalidTag, Base64Error, ValueError) as error:
            raise ReceiptError("this is not a receipt of this system, or the key file does not contain its key") from error
        partition, generation, offset = _NUMBERS.unpack_from(raw)
        return LogPlace(raw[_NUMBERS.size :].decode(), partition, offset, generation)


def _derived(key: bytes) -> bytes:
    """Derives 64 bytes for this purpose, because a key must serve one algorithm only."""
    return hmac.digest(key, _PURPOSE, "sha512")
