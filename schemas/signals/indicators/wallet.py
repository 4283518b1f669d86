"""Wallets: addresses of Bitcoin (base58 and bech32), TRON (where most USDT moves), Ethereum and similar chains.

The checksums of base58 and bech32 must match. Ethereum's is in the case of its letters (EIP-55), which is dropped, because many
programs drop it. A case that does not match gives advice; `MixedCase` carries it, because the canonical address no longer shows
it.

Invariant: a Bitcoin address that cannot be paid to is refused: version, length and padding are checked (BIP 173, 350).
"""

from __future__ import annotations

import re
from hashlib import sha256

from stdnum import bitcoin

from schemas.signals.indicators.fold import fold
from schemas.signals.indicators.keccak import keccak_256
from schemas.signals.indicators.memo import remembered

_CHAINS = r"bitcoin|btc|ethereum|eth|tron|trx|usdt|usdc|trc[- ]?20|erc[- ]?20|bep[- ]?20|bsc|钱包(?:地址)?|地址|wallet"
_SCHEME = re.compile(rf"(?:(?:{_CHAINS})[-_ ]?){{1,4}}[: ]\s*(?:pay-)?", re.ASCII | re.IGNORECASE)
_ETHEREUM = re.compile(r"0x[0-9a-f]{40}", re.ASCII)
_PAYMENT = re.compile(r"(?P<contract>0x[0-9a-f]{40})(?:@\d+)?(?:/(?P<function>\w+))?", re.ASCII | re.IGNORECASE)
_PAYEE = re.compile(r"(?:^|&)address=(0x[0-9a-f]{40})(?:&|$)", re.ASCII | re.IGNORECASE)
_TRON = re.compile(r"T[1-9A-HJ-NP-Za-km-z]{33}", re.ASCII)
_BITCOIN = re.compile(r"[13][1-9A-HJ-NP-Za-km-z]{25,34}", re.ASCII)
_BECH32 = re.compile(r"bc1[02-9ac-hj-np-z]{11,87}", re.ASCII)
_LETTERS = {letter: value for value, letter in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_PREFIX = (3, 3, 0, 2, 3)
_BECH32_SUM, _BECH32M_SUM = 1, 0x2BC830A3
_SAID = "a wallet must be a Bitcoin (1…, 3…, bc1…), TRON (T…) or Ethereum (0x…) address"


class MixedCase(str):
    """A canonical Ethereum address, equal to the plain text, that was sent in mixed case."""

    digits: str
    """The hexadecimal digits after `0x`, as sent."""

    def __new__(cls, sent: str) -> MixedCase:
        address = super().__new__(cls, sent.lower())
        address.digits = sent[2:]
        return address


@remembered
def canonical(text: str) -> str:
    """`ethereum:0xABC…@1`, `ERC20:0xABC…` -> `0xabc…`. ValueError if it is none of these, or its checksum does not match."""
    plain = _address(text)
    lower = plain.lower()
    if _ETHEREUM.fullmatch(lower):
        return MixedCase(plain) if plain[2:] not in (lower[2:], lower[2:].upper()) else lower
    if _BECH32.fullmatch(lower) and plain in (lower, plain.upper()):
        _check_bech32(lower)
        return lower
    if _TRON.fullmatch(plain):
        _check_base58(plain, (0x41,))
    elif _BITCOIN.fullmatch(plain):
        _check_base58(plain, (0x00, 0x05))
    else:
        raise ValueError(f"{_SAID}; {_fault(plain)}")
    return plain


def _address(text: str) -> str:
    """The text after the name of a chain or token, without amount and chain number; for a token transfer the recipient."""
    if text.isalnum() and text.isascii():
        return text
    plain = fold(text)
    if scheme := _SCHEME.match(plain):
        plain, _, query = plain[scheme.end() :].partition("?")
        if payment := _PAYMENT.fullmatch(plain):
            payee = _PAYEE.search(query) if payment["function"] else None
            if payment["function"] and payee is None:
                raise ValueError(f"{_SAID}; this value calls a contract and names no recipient")
            plain = payee[1] if payee else payment["contract"]
    return plain


def _fault(plain: str) -> str:
    if re.search(r"[\s,;、，]", plain):
        return "this value contains a blank or a comma; send two addresses as two indicators"
    if plain[:2].lower() == "0x":
        return f"an address must have 40 hexadecimal digits after 0x; this value has {len(plain) - 2} characters"
    if plain[:3].lower() == "bc1":
        return "an address with bc1 must be 14 to 90 letters and digits of one case, without 1, b, i, o after the first 1"
    return "this value has none of these forms"


def _check_base58(address: str, versions: tuple[int, ...]) -> None:
    raw = bitcoin.b58decode(address)
    twice = sha256(sha256(raw[:-4]).digest()).digest()
    if not (len(raw) == 25 and raw[0] in versions and twice[:4] == raw[-4:]):
        raise ValueError(f"{_SAID}; the checksum of this value does not match; check it for typing errors")


def _check_bech32(address: str) -> None:
    data = [_LETTERS[letter] for letter in address[3:]]
    version, program = data[0], data[1:-6]
    if version > 16 or bitcoin.bech32_checksum([*_PREFIX, *data]) != (_BECH32M_SUM if version else _BECH32_SUM):
        raise ValueError(f"{_SAID}; the checksum of this value does not match; check it for typing errors")
    size, spare = divmod(len(program) * 5, 8)
    if spare > 4 or (program and program[-1] & (1 << spare) - 1):
        raise ValueError(f"{_SAID}; the last bits of this value are not valid padding")
    if not 2 <= size <= 40 or (version == 0 and size not in (20, 32)):
        raise ValueError(f"{_SAID}; its program has {size} bytes, not 20 or 32 (version 0) or 2 to 40 (later versions)")


def advisories(value: str) -> tuple[str, ...]:
    """`eip55_failed`: the address was sent in mixed case that does not match. A single case contains no checksum."""
    if isinstance(value, MixedCase) and value.digits != _checked_case(value.digits.lower()):
        return ("eip55_failed",)
    return ()


def _checked_case(digits: str) -> str:
    """EIP-55: a letter is a capital where the hash of the address has a digit of 8 or more."""
    hashed = keccak_256(digits.encode("ascii")).hex()
    return "".join(letter.upper() if int(mark, 16) >= 8 else letter for letter, mark in zip(digits, hashed, strict=False))
