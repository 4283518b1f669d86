"""How values are protected from the first record on: keyed tokens to match by, sealed values to read (Art. 42)."""

from schemas.protect.keyring import Keyring
from schemas.protect.places import Place, PlaceCipher, ReceiptError
from schemas.protect.sealing import AesGcmSealer, Sealer, UnsealError, opened, text_of
from schemas.protect.tokens import Tokenizer

__all__ = [
    "AesGcmSealer",
    "Keyring",
    "Place",
    "PlaceCipher",
    "ReceiptError",
    "Sealer",
    "Tokenizer",
    "UnsealError",
    "opened",
    "text_of",
]
