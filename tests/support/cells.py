"""The scorecards' cells of a state in memory, as the core's own fold would have them."""

from __future__ import annotations

from schemas.scorecards import CardKind, FigureCell
from tests.support.memory_store import MemoryRedis

KINDS = {"i": CardKind.INSTITUTION, "u": CardKind.UNIT}


def cells_of(redis: MemoryRedis) -> dict[FigureCell, int]:
    found = {}
    for bucket in redis.buckets:
        for key, figures in bucket.values.items():
            if key.startswith("z:"):
                _, kind, period, party = key.split(":", 3)
                found |= {FigureCell(KINDS[kind], party, period, figure): n for figure, n in figures.items()}
    return found


def parties_of(redis: MemoryRedis) -> set[str]:
    return {name.decode()[1:] for bucket in redis.buckets for name in bucket.values.get("parties", ())}
