"""The cases that a money trail is made of: all that a set of accounts leads to, of any queue, in two round trips.

Which of it an officer may see is the caller's to decide (gateway/money_trail/service.py): this reads whole cases of others.
A case that was merged or split leads on to where its signals are; each such step is one trip more.
Invariant: nothing is answered half folded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from typing import NamedTuple

import msgspec

from schemas.cases.case import CaseStatus
from stream_processors.state.case_refs import indexed
from stream_processors.state.keys import PROJECT, bucket_of, whole
from stream_processors.state.record_views import EventRow
from stream_processors.state.scorecard_views import Row
from stream_processors.state.shared_hashes import drawer
from stream_processors.state.store import RedisLike
from stream_processors.views.entries import case_json, newest
from stream_processors.views.inbox import Rebuilding

STEPS_FOLLOWED = 8
"""So often whoever reads goes on to where a case was merged or split to."""


class NamedRow(Row):
    """A view of Subject."""

    kind: str
    role: str
    token: str
    sealed: str
    unmatched: str | None = None


class TrailSignal(Row):
    """A view of JoinedSignal: what it says of a transfer."""

    signal_id: str
    institution: str
    subjects: tuple[NamedRow, ...] = ()
    derived_from: str | None = None
    event: EventRow | None = None
    trust: str | None = None
    version: int = 1


class TrailCase(Row):
    """A view of Case: the transfers that its signals report, and where else its signals are."""

    case_id: str
    queue: str
    status: CaseStatus
    signal_count: int
    signals: tuple[TrailSignal, ...] = ()
    merged_into: str | None = None
    split_off: dict[str, str] = {}

    @property
    def elsewhere(self) -> set[str]:
        into = {self.merged_into} if self.merged_into is not None else set()
        return {*self.split_off.values(), *into}


class TrailRead(NamedTuple):
    """`more`: tokens that lead to further cases."""

    cases: list[TrailCase]
    more: frozenset[str]


_CASE = msgspec.json.Decoder(TrailCase)


async def read_trail(
    redis: RedisLike, tokens: Collection[str], cases: Collection[str], *, known_cases: Set[str], now_ms: int, most: int
) -> TrailRead:
    """See `Views.trail`."""
    names, more = await _indexed(redis, sorted(tokens), now_ms, most)
    requested = dict.fromkeys([*cases, *names])
    trail_cases: list[TrailCase] = []
    read_names = set(known_cases)
    for _ in range(STEPS_FOLLOWED):
        unread = [name for name in requested if name not in read_names]
        if not unread:
            break
        read_names.update(unread)
        read = await _cases(redis, unread)
        trail_cases += read
        requested = dict.fromkeys(sorted({name for case in read for name in case.elsewhere}))
    return TrailRead(trail_cases, more)


async def _indexed(redis: RedisLike, tokens: list[str], now_ms: int, most: int) -> tuple[list[str], frozenset[str]]:
    """Case ids by the index, those with the newest signals, and the tokens that lead to more."""
    pipe = redis.pipeline(transaction=False)
    for token in tokens:
        bucket = bucket_of(token)
        pipe.hget(drawer(PROJECT, bucket, "t", token), token)  # first: what becomes many in between is then in both answers
        pipe.zrevrangebyscore(PROJECT.key(bucket, "t", token), "+inf", f"({now_ms}", 0, most + 1)
        pipe.hget(PROJECT.marks(bucket), "stamp")  # after the values: emptied in between, it is missing here
    answers = await pipe.execute() if tokens else []
    _all_whole(answers[2::3])
    names, more = [], set()
    for token, few, many in zip(tokens, answers[0::3], answers[1::3], strict=True):
        members = many or newest(few, now_ms)
        names += [indexed(member).case_id for member in members[:most]]
        if len(members) > most:
            more.add(token)
    return names, frozenset(more)


async def _cases(redis: RedisLike, names: list[str]) -> list[TrailCase]:
    pipe = redis.pipeline(transaction=False)
    for name in names:
        bucket = bucket_of(name)
        pipe.hget(drawer(PROJECT, bucket, "k", name), name)
        pipe.hget(PROJECT.marks(bucket), "stamp")
    answers = await pipe.execute()
    _all_whole(answers[1::2])
    return [_CASE.decode(case_json(raw)) for raw in answers[0::2] if raw is not None]


def _all_whole(stamps: Iterable[bytes | None]) -> None:
    if not all(whole(stamp) for stamp in stamps):
        raise Rebuilding("the views are being rebuilt")
