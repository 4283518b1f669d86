"""Trains dictionaries for compressed values (stream_processors/state/compression.py) from the values of a running system.

    REDIS_URL=redis://127.0.0.1:6379/0 python -m deploy.tools.train_compression OUT

Use generated signals only (`liandong demo`, the benches): a dictionary contains pieces of its training data. A new file gets a
new number; the old ones stay, or older values cannot be read.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import zstandard
from redis import Redis

from stream_processors.state.compression import LEVEL, Form, unpack
from stream_processors.state.shared_hashes import END_BYTES, case_entry

SIZES, SAMPLES = {Form.CASE: 32768}, 8000
_SIZE = 16384
_DRAWERS = {
    Form.CASE: ("{pr*}k=*", "{tr*}k=*"),
    Form.RECEIPT: ("{pr*}r=*",),
    Form.STANDING: ("{as*}j=*",),
    Form.NOTICE: ("{pr*}b=*",),
}


def samples(redis: Redis, form: Form) -> list[Any]:
    """Values of the form before compression, in an order that does not reveal their time."""
    values: list[Any] = []
    for pattern in _DRAWERS[form]:
        keys = redis.scan_iter(pattern, count=2000)
        entries: Iterator[Any] = (entry for key in keys for name, entry in redis.hgetall(key).items() if name)  # '' is the head
        for entry in islice(entries, SAMPLES):
            values.append(unpack(case_entry(entry).case if form is Form.CASE else entry[END_BYTES:]))
    random.Random(1).shuffle(values)
    return values


def main() -> None:
    folder, redis = Path(sys.argv[1]), Redis.from_url(os.environ["REDIS_URL"])
    folder.mkdir(parents=True, exist_ok=True)
    for form in Form:
        values = samples(redis, form)
        half = values[: len(values) // 2]
        made = zstandard.train_dictionary(SIZES.get(form, _SIZE), half)
        packer = zstandard.ZstdCompressor(level=LEVEL, dict_data=made, write_checksum=False, write_dict_id=False)
        rest = values[len(half) :]
        before, after = sum(map(len, rest)), sum(len(packer.compress(value)) for value in rest)
        print(f"{form.name.lower()}: {len(rest)} other values, {before / len(rest):.0f} bytes, packed {after / len(rest):.0f}")
        (folder / f"{form.value}.zstd").write_bytes(made.as_bytes())


if __name__ == "__main__":
    main()
