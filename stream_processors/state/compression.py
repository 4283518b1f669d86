"""Compresses values for Redis: zstd with dictionaries trained on our own records, a fifth of their size in microseconds
(docs/decisions/0012-packed-values.md).

Invariant: `unpack(pack(form, value)) == value`, and values of every shipped dictionary stay readable. The first byte is the
dictionary's number; no JSON begins with one, so an uncompressed value is read as it is.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from pathlib import Path

import zstandard

LEVEL = 6
MOST_BYTES = 1 << 24
"""Largest decompressed value. No record of the log is a tenth as long, and a damaged value must not allocate more."""
_PLAIN_FROM = 32


class Form(IntEnum):
    """A form of value, by the number of its newest dictionary. A retrained one gets a new number; the old file stays."""

    CASE = 8
    RECEIPT = 9
    STANDING = 10
    NOTICE = 11


def dictionary_file(number: int) -> Path:
    return Path(__file__).parent / "dictionaries" / f"{number}.zstd"


@cache
def _load_dictionary(number: int) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(dictionary_file(number).read_bytes())


@cache
def _make_packer(form: Form) -> zstandard.ZstdCompressor:
    dictionary = _load_dictionary(form)
    dictionary.precompute_compress(level=LEVEL)
    return zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary, write_checksum=False, write_dict_id=False)


@cache
def _make_unpacker(number: int) -> zstandard.ZstdDecompressor:
    try:
        return zstandard.ZstdDecompressor(dict_data=_load_dictionary(number))
    except FileNotFoundError:
        raise ValueError(f"compressed with dictionary {number}, which this version does not have; upgrade this process") from None


def pack(form: Form, value: bytes) -> bytes:
    """Compresses a JSON value of ours."""
    return bytes((form,)) + _make_packer(form).compress(value)


def unpack(value: bytes) -> bytes:
    """Restores the input of `pack`. ValueError if it is unreadable."""
    if not value or value[0] >= _PLAIN_FROM:
        return value
    try:
        if zstandard.frame_content_size(value[1:]) > MOST_BYTES:
            raise ValueError(f"a compressed value is damaged: it claims more than {MOST_BYTES} bytes")
        return _make_unpacker(value[0]).decompress(value[1:], max_output_size=MOST_BYTES)
    except zstandard.ZstdError as error:
        raise ValueError(f"a compressed value is damaged: {error}") from None
