"""Counts of facts by outcome, and by institution or kind of action.

Key: `n`, a hash for each bucket. Invariant: each fact counts once, because the watermarks let it be projected once.
"""

from __future__ import annotations

from stream_processors.state.effects import Effect, count
from stream_processors.state.keys import BUCKETS, PROJECT, bucket_of
from stream_processors.state.store import RedisLike
from stream_processors.views.reading import WholeRead

_COUNTERS = "n"


def count_outcome(outcome: str, of: str) -> Effect:
    return count(bucket_of(of), _COUNTERS, f"{outcome}:{of}")


class CounterViews:
    _redis: RedisLike

    async def counters(self) -> dict[str, int]:
        read = WholeRead(self._redis)
        for bucket in range(BUCKETS):
            read.of(bucket).hgetall(PROJECT.key(bucket, _COUNTERS))
        totals: dict[str, int] = {}
        for counts in await read.answer():
            for name, n in counts.items():
                totals[name.decode()] = totals.get(name.decode(), 0) + int(n)
        return totals
