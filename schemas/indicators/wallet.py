"""Wallets: addresses of Bitcoin (base58 and bech32), TRON (where most USDT moves) and Ethereum and its kin.

Base58 and bech32 carry checksums, which must fit. Ethereum's checksum is in the case of its letters and needs a hash that the
standard library has not, so the case is dropped.
"""

from __future__ import annotations

import re
from hashlib import sha256

from stdnum import bitcoin
from stdnum.exceptions import ValidationError

from schemas.indicators.remembered import remembered

_SCHEME = re.compile(r"(?:bitcoin|btc|ethereum|eth|tron|trx):", re.ASCII | re.IGNORECASE)
_ETHEREUM = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_TRON = re.compile(r"T[1-9A-HJ-NP-Za-km-z]{33}", re.ASCII)
_BITCOIN = re.compile(r"[13][1-9A-HJ-NP-Za-km-z]{25,34}", re.ASCII)
_BECH32 = re.compile(r"bc1[02-9ac-hj-np-z]{11,87}", re.ASCII)
_BECH32M = 0x2BC830A3
_SAID = "a wallet is a Bitcoin (1…, 3…, bc1…), TRON (T…) or Ethereum (0x…) address"


@remembered
def canonical(text: str) -> str:
    """`ethereum:0xABC…` -> `0xabc…`. ValueError when it is none of these, or its checksum does not fit."""
    plain = text.strip()
    if scheme := _SCHEME.match(plain):
        plain = plain[scheme.end() :].partition("?")[0]
    lower = plain.lower()
    if _ETHEREUM.fullmatch(lower):
        return lower
    if _BECH32.fullmatch(lower) and plain in (lower, plain.upper()):
        fits, plain = _bech32_fits(lower), lower
    elif _TRON.fullmatch(plain):
        fits = _base58_fits(plain, (0x41,))
    elif _BITCOIN.fullmatch(plain):
        fits = _base58_fits(plain, (0x00, 0x05))
    else:
        raise ValueError(_SAID)
    if not fits:
        raise ValueError(f"{_SAID}; the checksum in this one does not fit")
    return plain


def _base58_fits(address: str, versions: tuple[int, ...]) -> bool:
    raw = bitcoin.b58decode(address)
    twice = sha256(sha256(raw[:-4]).digest()).digest()
    return len(raw) == 25 and raw[0] in versions and twice[:4] == raw[-4:]


def _bech32_fits(address: str) -> bool:
    """BIP 173 for version 0 (the library's), BIP 350 for the later ones (the same sum with another constant)."""
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    data = [letters.index(letter) for letter in address[3:]]
    if data[0] == 0:
        try:
            return bool(bitcoin.validate(address))
        except ValidationError:
            return False
    return data[0] <= 16 and bitcoin.bech32_checksum([3, 3, 0, 2, 3, *data]) == _BECH32M
