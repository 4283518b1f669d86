"""Reads the views: values, followed by the proof that they are complete.

Invariant: the stamps are read after the values. If Redis was emptied in between they are missing, so an incomplete view is never
returned: the reader gets Rebuilding.
"""

from __future__ import annotations

import time
from typing import Any

from stream_processors.state.keys import PROJECT, whole
from stream_processors.state.marks import STAMP
from stream_processors.state.shared_hashes import taken
from stream_processors.state.store import RedisLike


class Rebuilding(RuntimeError):
    """The views are being rebuilt from the log; retry in a moment."""


class WholeRead:
    """One round trip. `atomic`: no write runs between two of its commands. `stamp` is set after the answer."""

    def __init__(self, redis: RedisLike, *, atomic: bool = False) -> None:
        self._pipe = redis.pipeline(transaction=atomic)
        self._buckets: dict[int, None] = {}
        self.stamp = ""

    def of(self, bucket: int) -> Any:
        """The pipeline, for a command on a key of this bucket."""
        self._buckets[bucket] = None
        return self._pipe

    async def answer(self) -> list[Any]:
        """The answers to the commands. Raises Rebuilding if one of their buckets is incomplete."""
        if not self._buckets:
            return []
        for bucket in self._buckets:
            self._pipe.hget(PROJECT.marks(bucket), STAMP)
        answers = await self._pipe.execute()
        stamps = answers[-len(self._buckets) :]
        if not all(map(whole, stamps)):
            raise Rebuilding("the views are being rebuilt")
        self.stamp = stamps[0].decode()
        return answers[: -len(self._buckets)]


def live_value(entry: bytes | None) -> bytes | None:
    """The value of an entry in a shared hash; None if it is missing or expired."""
    return None if entry is None else taken(entry, int(time.time() * 1000))
