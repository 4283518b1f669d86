"""The index from an indicator to its cases, and the search by it.

Key: `t`, a token's entries (state/case_refs.py), few in a shared hash, many in a sorted set; `moved`, the cases that were ever
transferred. Invariant: entries are only added, so the order of facts does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import NamedTuple, cast

from schemas.cases.case import Case
from stream_processors.state.case_refs import brief, indexed, member_of, queue_mark
from stream_processors.state.effects import Effect, link
from stream_processors.state.keys import BUCKETS, PROJECT, ProjectKey, bucket_of
from stream_processors.state.record_views import ListedCase, ReceiptRow, is_hub_in
from stream_processors.state.shared_hashes import drawer, linked, taken
from stream_processors.state.store import RedisLike
from stream_processors.views.cases import ask_case, case_json
from stream_processors.views.reading import WholeRead

_INDEX_PAGES = (200, 5000)
"""Newest entries of an indicator that a search reads: first few, and many only if few are not enough."""


def index_effects(fact: ReceiptRow) -> list[Effect]:
    """Every indicator of a routed signal, victims' too, leads to its cases, even after a retraction: others may have named it,
    too."""
    return [
        link(ProjectKey.CASE_INDEX.key(subject.token), member_of(route.case_id, route.queue), fact.cases_until_ms)
        for route in fact.routes
        for subject in fact.subjects
    ]


class Found(NamedTuple):
    """Cases of an indicator, the newest signal first, as a list shows them (record_views.py: without their signals); `more`:
    there are others; `hub`: the indicator was a hub in one of these cases."""

    cases: list[Case]
    more: bool
    hub: bool = False


class CaseIndexViews:
    _redis: RedisLike

    async def search(self, token: str, mine: Callable[[str], bool], *, now_ms: int, limit: int) -> Found:
        """Reads the index with the names of the queues; then the cases, as a list shows them."""
        for size in _INDEX_PAGES:
            names, members = await self._read_indexed(token, now_ms, size)
            marks = {queue_mark(queue) for queue in names if mine(queue)}
            entries = [indexed(member) for member in members]
            moved = await self._find_moved({entry.case_id for entry in entries if entry.queue not in marks})
            candidates = dict.fromkeys(entry.case_id for entry in entries if entry.queue in marks or entry.case_id in moved)
            cases = await self._load_listed(list(candidates), mine, limit + 1)
            if len(cases) > limit or len(members) < size:
                break
        hub = any(is_hub_in(raw, token) for _, raw in cases[:limit])
        return Found([case for case, _ in cases[:limit]], len(cases) > limit or len(members) == size, hub)

    async def _read_indexed(self, token: str, now_ms: int, size: int) -> tuple[set[str], list[bytes]]:
        """The names of all queues, and the newest entries of a token; in one round trip."""
        read = WholeRead(self._redis)
        for bucket in range(BUCKETS):
            read.of(bucket).smembers(PROJECT.key(bucket, ProjectKey.QUEUE_NAMES))
        ask_entries(read, token, now_ms, size)
        *queues, few, many = await read.answer()
        names = {name.decode() for bucket_queues in queues for name in bucket_queues}
        return names, entries_of(few, many, now_ms)[:size]

    async def _find_moved(self, cases: Set[str]) -> set[str]:
        """The cases among these that were ever transferred: their index entries do not name their queue."""
        names_by_bucket: dict[int, list[str]] = {}
        for name in sorted(cases):
            names_by_bucket.setdefault(bucket_of(name), []).append(name)
        read = WholeRead(self._redis)
        for bucket, names in names_by_bucket.items():
            read.of(bucket).execute_command("SMISMEMBER", PROJECT.key(bucket, ProjectKey.MOVED), *map(brief, names))
        pairs = zip(names_by_bucket.values(), await read.answer(), strict=True)
        return {name for names, flags in pairs for name, is_moved in zip(names, flags, strict=True) if is_moved}

    async def _load_listed(self, names: list[str], mine: Callable[[str], bool], most: int) -> list[tuple[Case, bytes]]:
        """At most this many of the cases, in the queues that `mine` permits: as a list shows them, and whole as JSON."""
        cases: list[tuple[Case, bytes]] = []
        for at in range(0, len(names), most):
            read = WholeRead(self._redis)
            for name in names[at : at + most]:
                ask_case(read, name)
            whole_ones = [case_json(raw) for raw in await read.answer() if raw is not None]
            listed = cast("Iterable[Case]", map(ListedCase.model_validate_json, whole_ones))
            cases += [(case, raw) for case, raw in zip(listed, whole_ones, strict=True) if mine(case.queue)]
            if len(cases) >= most:
                break
        return cases[:most]


def ask_entries(read: WholeRead, token: str, now_ms: int, most: int) -> None:
    """Commands for the newest entries of a token: `entries_of` combines their two answers. A set that grows between the commands
    is in both."""
    bucket = bucket_of(token)
    read.of(bucket).hget(drawer(PROJECT, bucket, ProjectKey.CASE_INDEX, token), token)
    read.of(bucket).zrevrangebyscore(PROJECT.key(bucket, ProjectKey.CASE_INDEX, token), "+inf", f"({now_ms}", 0, most)


def entries_of(few: bytes | None, many: list[bytes], now_ms: int) -> list[bytes]:
    """The unexpired entries, the latest expiry first."""
    if many:
        return many
    value = None if few is None else taken(few, now_ms)
    rows = sorted(((ends, member) for member, ends in linked(value or b"") if ends > now_ms), reverse=True)
    return [member for _, member in rows]
