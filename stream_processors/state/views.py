"""The read side of `project`: receipts, queues, cases, outcomes of actions. The gateway reads nothing else of the state.

Invariant: while the views are rebuilt every read raises Rebuilding; a view is never answered half folded.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from schemas.cases import Case, CaseChange
from stream_processors.state.keys import BUCKETS, PROJECT, bucket_of
from stream_processors.state.receipts import Receipt
from stream_processors.state.store import RedisLike


__all__ = ["Cursor", "Page", "Rebuilding", "Receipt", "RedisViews", "Views"]


class Rebuilding(RuntimeError):
    """The views are being folded from the log; ask again in a moment."""


class Cursor(NamedTuple):
    """Where a page ended: the rank of its last case and the case's id."""

    rank: float
    case_id: str


class Page(NamedTuple):
    """Cases worst first; `next` is None on the last page."""

    cases: list[Case]
    next: Cursor | None


class Views(Protocol):
    async def receipt(self, signal_id: str) -> Receipt | None: ...

    async def case(self, case_id: str) -> Case | None: ...

    async def action(self, action_id: str) -> CaseChange | None:
        """What became of an officer's action: the change without its case; None while it is not decided."""

    async def page(self, queue: str, *, limit: int, after: Cursor | None = None) -> Page:
        """The open and claimed cases of a queue, by score, then oldest first. Disposed cases are in no queue."""

    async def depths(self) -> dict[str, int]:
        """Cases a queue holds, for every queue that ever had one."""

    async def counters(self) -> dict[str, int]:
        """`outcome:institution` -> facts; exact: each fact once."""


class RedisViews:
    """The views in Redis. Every call reads the stamps with the values, so a lost Redis is noticed in the same answer."""

    def __init__(self, redis: RedisLike) -> None:
        self._redis = redis

    async def _read(self, bucket: int, *command: object) -> object:
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(PROJECT.marks(bucket), "stamp")
        pipe.execute_command(*command)
        stamp, answer = await pipe.execute()
        if not stamp:
            raise Rebuilding("the views are being rebuilt")
        return answer

    async def _read_all(self, commands: list[tuple[object, ...]]) -> list[object]:
        pipe = self._redis.pipeline(transaction=False)
        for bucket, command in enumerate(commands):
            pipe.hget(PROJECT.marks(bucket), "stamp")
            pipe.execute_command(*command)
        answers = await pipe.execute()
        if not all(answers[0::2]):
            raise Rebuilding("the views are being rebuilt")
        return answers[1::2]

    async def receipt(self, signal_id: str) -> Receipt | None:
        raw = await self._read(bucket := bucket_of(signal_id), "GET", PROJECT.key(bucket, "r", signal_id))
        return Receipt.model_validate_json(raw) if isinstance(raw, bytes) else None

    async def case(self, case_id: str) -> Case | None:
        raw = await self._read(bucket := bucket_of(case_id), "HGET", PROJECT.key(bucket, "k", case_id), "case")
        return Case.model_validate_json(raw) if isinstance(raw, bytes) else None

    async def action(self, action_id: str) -> CaseChange | None:
        raw = await self._read(bucket := bucket_of(action_id), "GET", PROJECT.key(bucket, "a", action_id))
        return CaseChange.model_validate_json(raw) if isinstance(raw, bytes) else None

    async def page(self, queue: str, *, limit: int, after: Cursor | None = None) -> Page:
        ceiling = "+inf" if after is None else repr(after.rank)
        ids: list[Cursor] = []
        offset, wanted = 0, limit + 1
        pending = list(range(BUCKETS))
        answers = await self._read_all(
            [
                ("ZREVRANGEBYSCORE", PROJECT.key(b, "q", queue), ceiling, "-inf", "WITHSCORES", "LIMIT", offset, wanted + 64)
                for b in pending
            ]
        )
        for answer in answers:
            pairs: list[bytes] = answer  # type: ignore[assignment]
            ids.extend(_cursors(pairs))
        ids.sort(key=lambda one: (-one.rank, one.case_id))
        if after is not None:
            ids = [one for one in ids if (-one.rank, one.case_id) > (-after.rank, after.case_id)]
        chosen = ids[:limit]
        cases = [case for case in [await self.case(one.case_id) for one in chosen] if case is not None]
        return Page(cases, chosen[-1] if len(ids) > limit and chosen else None)

    async def depths(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        names = await self._read_all([("SMEMBERS", PROJECT.key(b, "queues")) for b in range(BUCKETS)])
        queues = sorted({name.decode() for found in names for name in found})  # type: ignore[attr-defined]
        for queue in queues:
            counts = await self._read_all([("ZCARD", PROJECT.key(b, "q", queue)) for b in range(BUCKETS)])
            totals[queue] = sum(int(n) for n in counts)  # type: ignore[call-overload]
        return totals

    async def counters(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        for found in await self._read_all([("HGETALL", PROJECT.key(b, "n")) for b in range(BUCKETS)]):
            pairs = found.items() if isinstance(found, dict) else zip(found[0::2], found[1::2], strict=True)  # type: ignore[index]
            for name, n in pairs:
                totals[name.decode()] = totals.get(name.decode(), 0) + int(n)
        return totals


def _cursors(pairs: object) -> list[Cursor]:
    """ZRANGE WITHSCORES answers flat in RESP2 and in pairs in RESP3."""
    rows: list[tuple[bytes, object]]
    if isinstance(pairs, list) and pairs and isinstance(pairs[0], (list, tuple)):
        rows = [(row[0], row[1]) for row in pairs]
    else:
        flat: list[object] = pairs if isinstance(pairs, list) else []
        rows = list(zip(flat[0::2], flat[1::2], strict=True))  # type: ignore[arg-type]
    return [Cursor(float(score if isinstance(score, (int, float)) else bytes(score)), name.decode()) for name, score in rows]  # type: ignore[arg-type, call-overload]

