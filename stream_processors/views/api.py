"""The read side of `project`: receipts, queues, cases, outcomes of actions. The gateway reads nothing else of the state.

Invariant: while the views are rebuilt every read raises Rebuilding; a view is never answered half folded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from schemas.cases.case import Case, CaseChange
from schemas.oversight.oversight import OversightChange, Record
from schemas.scorecards import CardKind
from schemas.signals.retraction import name_of
from schemas.signals.submission import MOST_VERSIONS
from stream_processors.state.case_refs import MOVED, brief, in_full, indexed, queue_mark
from stream_processors.state.keys import BUCKETS, PROJECT, bucket_of, whole
from stream_processors.state.record_views import ListedCase, is_hub_in
from stream_processors.state.shared_hashes import drawer, short, taken
from stream_processors.state.store import RedisLike
from stream_processors.views.entries import case_json, newest
from stream_processors.views.inbox import Inboxes, Rebuilding
from stream_processors.views.money_trail import TrailRead, read_trail
from stream_processors.views.oversight import read_one, read_outcome, read_part
from stream_processors.views.receipts import Receipt, Withdrawal, receipt_of, told
from stream_processors.views.scorecards import Book, read_book
from stream_processors.views.webhook_endpoints import Hooked, RedisHooks

__all__ = ["Cursor", "Found", "Page", "Rebuilding", "Receipt", "RedisViews", "Standing", "Views"]

Read = TypeVar("Read")
_INDEX_PAGES = (200, 5000)
"""How many entries of one indicator a search looks at, the newest: few, and only if these are not enough, many."""


class Cursor(NamedTuple):
    """Where a page ended: the rank of its last case and the case's id."""

    rank: float
    case_id: str


class Page(NamedTuple):
    """Cases worst first; `next` is None on the last page."""

    cases: list[Case]
    next: Cursor | None


class Found(NamedTuple):
    """Cases of an indicator, the one with the newest signal first, as a list shows them (rows.py: without their signals);
    `more`: there are others; `hub`: the indicator was a hub in one of these cases."""

    cases: list[Case]
    more: bool
    hub: bool = False


class Standing(NamedTuple):
    """Cases of a queue that stand alike; `oldest_ms`: since when the longest-standing one does, milliseconds since 1970."""

    queue: str
    severity: str
    status: str
    cases: int
    oldest_ms: int


class Views(Inboxes, Hooked, Protocol):
    async def receipt(self, signal_id: str) -> Receipt | None: ...

    async def case(self, case_id: str) -> Case | None: ...

    async def action(self, action_id: str) -> CaseChange | None:
        """What became of an officer's action: the change without its case; None while it is not decided."""

    async def page(self, queue: str, *, limit: int, after: Cursor | None = None) -> Page:
        """The open and claimed cases of a queue, by score, then oldest first. Disposed cases are in no queue."""

    async def standings(self) -> list[Standing]:
        """Every queue's open and claimed cases by severity. What held cases once and holds none is there with 0."""

    async def search(self, token: str, mine: Callable[[str], bool], *, now_ms: int, limit: int) -> Found:
        """The cases, disposed ones too, that an indicator leads to, in the queues that `mine` allows."""

    async def counters(self) -> dict[str, int]:
        """`outcome:institution` -> facts; exact: each fact once."""

    async def trail(
        self, tokens: Collection[str], cases: Collection[str], *, known: Set[str], now_ms: int, most: int
    ) -> TrailRead:
        """The cases that the tokens lead to, of any queue, at most `most` of each, and `cases`; without the `known` ones."""

    async def book(self, kind: CardKind, period: str) -> Book:
        """The scorecards' cells of a period (cells.py), by party; who has none is there with none."""

    async def overseen(self, about: str) -> Record | None:
        """An assessment, measure, data request or campaign (views/oversight.py)."""

    async def all_overseen(self, part: str) -> list[Record]:
        """All records of a part that is listed."""

    async def oversight_action(self, action_id: str) -> OversightChange | None:
        """What became of a request about one of them: without its record; None while it is not decided."""


class RedisViews(RedisHooks):
    """The views in Redis. Every call reads the stamps with the values, so a lost Redis is noticed in the same answer."""

    def __init__(self, redis: RedisLike) -> None:
        self._redis = redis

    async def _read(self, bucket: int, *command: object) -> object:
        return (await self._read_some(bucket, command))[0]

    async def _read_some(self, bucket: int, *commands: tuple[object, ...]) -> list[Any]:
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(PROJECT.marks(bucket), "stamp")
        for command in commands:
            pipe.execute_command(*command)
        stamp, *answers = await pipe.execute()
        if not whole(stamp):
            raise Rebuilding("the views are being rebuilt")
        return answers

    async def _read_all(self, commands: Sequence[tuple[object, ...]]) -> list[object]:
        pipe = self._redis.pipeline(transaction=False)
        for bucket, command in enumerate(commands):
            pipe.hget(PROJECT.marks(bucket), "stamp")
            pipe.execute_command(*command)
        answers = await pipe.execute()
        if not all(whole(stamp) for stamp in answers[0::2]):
            raise Rebuilding("the views are being rebuilt")
        return answers[1::2]

    async def receipt(self, signal_id: str) -> Receipt | None:
        bucket = bucket_of(signal_id)
        names = [name_of(signal_id, version) for version in range(1, MOST_VERSIONS + 1)]
        withdrawal = ("HGET", PROJECT.key(bucket, "x", signal_id), "text")
        versions = ("HMGET", drawer(PROJECT, bucket, "r", signal_id), *map(short, names))
        raw_receipts, raw_withdrawal = await self._read_some(bucket, versions, withdrawal)
        receipts = [receipt_of(signal_id, raw) for raw in map(_standing_value, raw_receipts) if raw is not None]
        return told(signal_id, receipts, Withdrawal.model_validate_json(raw_withdrawal) if raw_withdrawal is not None else None)

    async def case(self, case_id: str) -> Case | None:
        raw = await self._read(bucket := bucket_of(case_id), "HGET", drawer(PROJECT, bucket, "k", case_id), case_id)
        return Case.model_validate_json(case_json(raw)) if isinstance(raw, bytes) else None

    async def action(self, action_id: str) -> CaseChange | None:
        raw = await self._read(bucket := bucket_of(action_id), "HGET", drawer(PROJECT, bucket, "a", action_id), short(action_id))
        change_json = _standing_value(raw) if isinstance(raw, bytes) else None
        return None if change_json is None else CaseChange.model_validate_json(change_json)

    async def page(self, queue: str, *, limit: int, after: Cursor | None = None) -> Page:
        """Each bucket's best `limit` below the cursor, merged. Ties are cut by the case's id, downwards, as Redis orders them."""
        below = "+inf" if after is None else f"({after.rank:.0f}"
        ranges = [
            ("ZREVRANGEBYSCORE", PROJECT.key(b, "q", queue), below, "-inf", "WITHSCORES", "LIMIT", 0, limit + 1)
            for b in range(BUCKETS)
        ]
        cursors = [cursor for answer in await self._read_all(ranges) for cursor in _cursors(answer)]
        if after is not None:
            rank = f"{after.rank:.0f}"
            ties = [("ZREVRANGEBYSCORE", PROJECT.key(b, "q", queue), rank, rank, "WITHSCORES") for b in range(BUCKETS)]
            cursors += [tie for answer in await self._read_all(ties) for tie in _cursors(answer) if tie.case_id < after.case_id]
        cursors.sort(reverse=True)
        chosen = cursors[:limit]
        return Page(await self._cases(chosen), chosen[-1] if len(cursors) > limit else None)

    async def _cases(self, cursors: list[Cursor]) -> list[Case]:
        pipe = self._redis.pipeline(transaction=False)
        for cursor in cursors:
            pipe.hget(drawer(PROJECT, bucket_of(cursor.case_id), "k", cursor.case_id), cursor.case_id)
        return [Case.model_validate_json(case_json(raw)) for raw in await pipe.execute() if raw is not None]

    async def search(self, token: str, mine: Callable[[str], bool], *, now_ms: int, limit: int) -> Found:
        """The index, with the queues' names beside it; then the cases, as far as a list shows them."""
        for size in _INDEX_PAGES:
            names, members = await self._indexed(token, now_ms, size)
            marks = {queue_mark(queue) for queue in names if mine(queue)}
            entries = [indexed(member) for member in members]
            moved = await self._moved({entry.case_id for entry in entries if entry.queue not in marks})
            candidates = dict.fromkeys(entry.case_id for entry in entries if entry.queue in marks or entry.case_id in moved)
            cases = await self._listed(list(candidates), mine, limit + 1)
            if len(cases) > limit or len(members) < size:
                break
        hub = any(is_hub_in(raw, token) for _, raw in cases[:limit])
        return Found([case for case, _ in cases[:limit]], len(cases) > limit or len(members) == size, hub)

    async def _moved(self, cases: Set[str]) -> set[str]:
        """Those of the cases that were ever transferred: their index entries do not say whose they are."""
        names_by_bucket: dict[int, list[str]] = {}
        for name in sorted(cases):
            names_by_bucket.setdefault(bucket_of(name), []).append(name)
        pipe = self._redis.pipeline(transaction=False)
        for bucket, names in names_by_bucket.items():
            pipe.execute_command("SMISMEMBER", PROJECT.key(bucket, MOVED), *map(brief, names))
            pipe.hget(PROJECT.marks(bucket), "stamp")  # after the values: emptied in between, it is missing here
        answers = await pipe.execute() if names_by_bucket else []
        if not all(whole(stamp) for stamp in answers[1::2]):
            raise Rebuilding("the views are being rebuilt")
        pairs = zip(names_by_bucket.values(), answers[0::2], strict=True)
        return {name for names, flags in pairs for name, is_moved in zip(names, flags, strict=True) if is_moved}

    async def _listed(self, names: list[str], mine: Callable[[str], bool], most: int) -> list[tuple[Case, bytes]]:
        """At most so many of the cases, those in the queues that `mine` allows, as a list shows them; and whole, as JSON."""
        cases: list[tuple[Case, bytes]] = []
        for at in range(0, len(names), most):
            pipe = self._redis.pipeline(transaction=False)
            for name in names[at : at + most]:
                pipe.hget(drawer(PROJECT, bucket_of(name), "k", name), name)
            whole_ones = [case_json(raw) for raw in await pipe.execute() if raw is not None]
            listed = cast("Iterable[Case]", map(ListedCase.model_validate_json, whole_ones))
            cases += [(case, raw) for case, raw in zip(listed, whole_ones, strict=True) if mine(case.queue)]
            if len(cases) >= most:
                break
        return cases[:most]

    async def _indexed(self, token: str, now_ms: int, size: int) -> tuple[set[str], list[bytes]]:
        """The names of all queues, and the newest entries of a token; in one round trip."""
        bucket = bucket_of(token)
        pipe = self._redis.pipeline(transaction=False)
        for b in range(BUCKETS):
            pipe.smembers(PROJECT.key(b, "queues"))
        pipe.hget(drawer(PROJECT, bucket, "t", token), token)  # first: what becomes many in between is then in both answers
        pipe.zrevrangebyscore(PROJECT.key(bucket, "t", token), "+inf", f"({now_ms}", 0, size)
        for b in range(BUCKETS):
            pipe.hget(PROJECT.marks(b), "stamp")  # after the values: emptied in between, it is missing here
        answers = await pipe.execute()
        if not all(whole(stamp) for stamp in answers[BUCKETS + 2 :]):
            raise Rebuilding("the views are being rebuilt")
        few, many = answers[BUCKETS : BUCKETS + 2]
        members = many or newest(few, now_ms)[:size]
        return {name.decode() for bucket_queues in answers[:BUCKETS] for name in bucket_queues}, members

    async def standings(self) -> list[Standing]:
        names = await self._read_all([("SMEMBERS", PROJECT.key(b, "standings")) for b in range(BUCKETS)])
        bucket_keys = [(bucket, key) for bucket, keys in enumerate(names) for key in keys]  # type: ignore[attr-defined]
        pipe = self._redis.pipeline(transaction=False)
        for bucket, key in bucket_keys:
            pipe.zcard(PROJECT.key(bucket, key.decode()))
            pipe.zrange(PROJECT.key(bucket, key.decode()), 0, 0, withscores=True)
            pipe.hget(PROJECT.marks(bucket), "stamp")  # after the values: emptied in between, it is missing here
        answers = await pipe.execute()
        if not all(whole(stamp) for stamp in answers[2::3]):
            raise Rebuilding("the views are being rebuilt")
        totals: dict[bytes, tuple[int, int]] = {}
        for (_, key), n, first in zip(bucket_keys, answers[0::3], answers[1::3], strict=True):
            cases, oldest = totals.get(key, (0, 0))
            since = int(first[0][1]) if first else 0
            totals[key] = cases + n, min(oldest or since, since or oldest)
        return [_standing(key.decode(), *total) for key, total in sorted(totals.items())]

    async def counters(self) -> dict[str, int]:
        totals: dict[str, int] = {}
        for answer in await self._read_all([("HGETALL", PROJECT.key(b, "n")) for b in range(BUCKETS)]):
            pairs: dict[bytes, bytes] = answer  # type: ignore[assignment]
            for name, n in pairs.items():
                totals[name.decode()] = totals.get(name.decode(), 0) + int(n)
        return totals

    async def book(self, kind: CardKind, period: str) -> Book:
        book = await read_book(self._redis, kind, period)
        if book is None:
            raise Rebuilding("the views are being rebuilt")
        return book

    async def overseen(self, about: str) -> Record | None:
        return _if_whole(*await read_one(self._redis, about))

    async def all_overseen(self, part: str) -> list[Record]:
        return _if_whole(*await read_part(self._redis, part))

    async def oversight_action(self, action_id: str) -> OversightChange | None:
        return _if_whole(*await read_outcome(self._redis, action_id, int(time.time() * 1000)))

    async def trail(
        self, tokens: Collection[str], cases: Collection[str], *, known: Set[str], now_ms: int, most: int
    ) -> TrailRead:
        return await read_trail(self._redis, tokens, cases, known_cases=known, now_ms=now_ms, most=most)


def _if_whole(is_whole: bool, answer: Read) -> Read:
    if not is_whole:
        raise Rebuilding("the views are being rebuilt")
    return answer


def _standing(key: str, cases: int, oldest_ms: int) -> Standing:
    _, status, severity, queue = key.split(":", 3)
    return Standing(queue, severity, status, cases, oldest_ms)


def _standing_value(entry: bytes | None) -> bytes | None:
    return None if entry is None else taken(entry, int(time.time() * 1000))


def _cursors(answer: object) -> list[Cursor]:
    """WITHSCORES answers name, score, name, score (RESP2)."""
    flat: list[bytes] = answer if isinstance(answer, list) else []
    return [Cursor(float(score), in_full(name)) for name, score in zip(flat[0::2], flat[1::2], strict=True)]
