"""Protection of values from the first record on: keyed tokens for matching, sealed values for reading (Art. 42)."""

from schemas.security.keyring import Keyring
from schemas.security.place_cipher import LogPlace, PlaceCipher, ReceiptError
from schemas.security.sealing import AesGcmSealer, Sealer, UnsealError, opened, text_of
from schemas.security.tokens import Tokenizer

__all__ = [
    "AesGcmSealer",
    "Keyring",
    "LogPlace",
    "PlaceCipher",
    "ReceiptError",
    "Sealer",
    "Tokenizer",
    "UnsealError",
    "opened",
    "text_of",
]
