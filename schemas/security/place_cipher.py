"""A record's place in the log as a text that only we can read: what a receipt proves, without telling how much others sent.

Deterministic (AES-SIV, RFC 5297), so that a retry is answered with the same receipt.
Invariant: a receipt that we did not make does not open; two receipts tell nothing of the distance between their places.
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


class Place(NamedTuple):
    """`generation` counts the times that this partition lost its end and was recovered."""

    topic: str
    partition: int
    offset: int
    generation: int = 0


class ReceiptError(ValueError):
    """The text is no receipt of ours, or its key is not here."""


class PlaceCipher:
    """`seal(place) -> "k1.Zk9…"`, `open` is its inverse."""

    def __init__(self, keyring: Keyring) -> None:
        self._current = keyring.current
        self._ciphers = {version: AESSIV(_derived(keyring.sealing_key(version))) for version in keyring.sealing_keys}

    def seal(self, place: Place) -> str:
        numbers = _NUMBERS.pack(place.partition, place.generation, place.offset)
        sealed = self._ciphers[self._current].encrypt(numbers + place.topic.encode(), [_PURPOSE])
        return f"{self._current}.{urlsafe_b64encode(sealed).decode().rstrip('=')}"

    def open(self, receipt: str) -> Place:
        """ReceiptError when it is none of ours."""
        version, _, body = receipt.partition(".")
        try:
            sealed = urlsafe_b64decode(body + "=" * (-len(body) % 4))
            raw = self._ciphers[version].decrypt(sealed, [_PURPOSE])
        except (KeyError, InvalidTag, Base64Error, ValueError) as error:
            raise ReceiptError("this is no receipt of this system, or the key that made it is not in the key file") from error
        partition, generation, offset = _NUMBERS.unpack_from(raw)
        return Place(raw[_NUMBERS.size :].decode(), partition, offset, generation)


def _derived(key: bytes) -> bytes:
    """64 bytes of its own for this purpose: a key serves one algorithm only."""
    return hmac.digest(key, _PURPOSE, "sha512")
