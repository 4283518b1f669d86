"""How the views are read: values, and behind them the proof that they are whole.

Invariant: the stamps are read after the values. Where Redis was emptied in between they are missing, so a view is never answered
half folded: whoever reads gets Rebuilding.
"""

from __future__ import annotations

import time
from typing import Any

from stream_processors.state.keys import PROJECT, whole
from stream_processors.state.marks import STAMP
from stream_processors.state.shared_hashes import taken
from stream_processors.state.store import RedisLike


class Rebuilding(RuntimeError):
    """The views are being folded from the log; ask again in a moment."""


class WholeRead:
    """One round trip. `atomic`: nothing is folded between two of its commands. `stamp` is there once it was answered."""

    def __init__(self, redis: RedisLike, *, atomic: bool = False) -> None:
        self._pipe = redis.pipeline(transaction=atomic)
        self._buckets: dict[int, None] = {}
        self.stamp = ""

    def of(self, bucket: int) -> Any:
        """The pipeline, for a command about a key of this bucket."""
        self._buckets[bucket] = None
        return self._pipe

    async def answer(self) -> list[Any]:
        """The answers to the commands. Rebuilding when one of their buckets is not whole."""
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
    """The value of an entry of a shared hash; None where there is none, or it has ended."""
    return None if entry is None else taken(entry, int(time.time() * 1000))
