"""Cases: the newest revision of each, its place in a queue, and the outcomes of its actions.

Keys, in shared hashes: `k` a case, `a` the outcome of an action. `q` a queue's ranking, `w` its cases of one severity and status,
`queues` and `standings` the names of all of these. Invariant: only a newer revision replaces a case, and moves it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from schemas.cases.case import ActionKind, ActionOutcome, Case, CaseChange, CaseStatus
from schemas.codec import RowEnvelope
from schemas.common import DAY_MS, instant_ms
from schemas.scorecards import CountedFigures
from stream_processors.domain.scorecards import change_leaves
from stream_processors.state import compression as packing
from stream_processors.state.case_refs import brief, in_full
from stream_processors.state.effects import Effect, add, put, rank, stand, unrank
from stream_processors.state.keys import BUCKETS, PROJECT, ProjectKey, bucket_of
from stream_processors.state.record_views import CaseRow, ChangeRow
from stream_processors.state.shared_hashes import case_entry, drawer, short
from stream_processors.state.store import RedisLike
from stream_processors.views.reading import WholeRead, live_value
from stream_processors.views.scorecards import count_outcome, tallies

_RANK_STEP = 10**11
_NOBODY_WAITS = (ActionKind.JOIN, ActionKind.RETRACT, ActionKind.ABSORB, ActionKind.DEADLINE_DUE)
"""Requests of stages. The log contains their outcomes, and nobody queries them by name."""
OUT_OF_QUEUE = (CaseStatus.DISPOSED, CaseStatus.RETRACTED, CaseStatus.CLOSED, CaseStatus.MERGED)


def rank_of(score: int, opened_ms: int) -> int:
    """A queue's order as one exact number: by score, then the oldest first."""
    return score * _RANK_STEP + (_RANK_STEP - 1 - opened_ms // 1000)


def standing_key(case: CaseRow) -> str:
    """The set of the cases of one queue, severity and status, each with its time. "" if it is in none."""
    return "" if case.status in OUT_OF_QUEUE else f"{ProjectKey.ALIKE}:{case.status.value}:{case.severity}:{case.queue}"


def project_changed(envelope: RowEnvelope[ChangeRow]) -> list[Effect]:
    """The case and its place in the queue; the outcome of an officer's action for its sender; its change to the scorecards."""
    change = envelope.data
    kind = change.kind.value if change.kind else "unreadable"
    effects = [count_outcome(f"action_{change.outcome.value}", kind)]
    if change.figure_changes is not None:
        effects += tallies(change_leaves(cast("CountedFigures", change.figure_changes)))
    if change.action_id and change.kind not in _NOBODY_WAITS:
        bucket = bucket_of(change.action_id)
        # Of an action that goes through several cases only the last one tells: their facts are folded in no certain order.
        if change.outcome is not ActionOutcome.REDELIVERY and not change.sent_on:
            effects.append(put(ProjectKey.OUTCOMES.key(change.action_id), change.answer(), instant_ms(change.at) + DAY_MS))
    case = change.case
    if case is None:
        return effects
    bucket, member = bucket_of(case.case_id), brief(case.case_id)
    where, packed = standing_key(case), packing.pack(packing.Form.CASE, change.case_json)
    effects.append(stand(ProjectKey.CASES.key(case.case_id), case.revision, packed, where, instant_ms(change.at), member))
    if where:
        effects.append(add(ProjectKey.ALIKE_NAMES.sole(bucket), where))
    if case.transfers:
        effects.append(add(ProjectKey.MOVED.sole(bucket), member))
    if change.left_queue is not None:
        effects.append(unrank(ProjectKey.RANKINGS.key(change.left_queue, bucket), member))
    if case.status in OUT_OF_QUEUE:
        effects.append(unrank(ProjectKey.RANKINGS.key(case.queue, bucket), member))
    else:
        effects.append(rank(ProjectKey.RANKINGS.key(case.queue, bucket), rank_of(case.score, instant_ms(case.opened_at)), member))
        effects.append(add(ProjectKey.QUEUE_NAMES.sole(bucket), case.queue))
    return effects


class Cursor(NamedTuple):
    """The end of a page: the rank of its last case and the case's id."""

    rank: float
    case_id: str


class Page(NamedTuple):
    """Cases worst first; `next` is None on the last page."""

    cases: list[Case]
    next: Cursor | None


class Standing(NamedTuple):
    """Cases of a queue with one severity and status; `oldest_ms`: the time of the oldest, milliseconds since 1970."""

    queue: str
    severity: str
    status: str
    cases: int
    oldest_ms: int


class CaseViews:
    _redis: RedisLike

    async def case(self, case_id: str) -> Case | None:
        return next(iter(await self._load_cases([case_id])), None)

    async def _load_cases(self, case_ids: list[str]) -> list[Case]:
        """Those that there are."""
        read = WholeRead(self._redis)
        for case_id in case_ids:
            ask_case(read, case_id)
        return [Case.model_validate_json(case_json(raw)) for raw in await read.answer() if raw is not None]

    async def action(self, action_id: str) -> CaseChange | None:
        """The outcome of an officer's action: the change without its case; None while it is not decided."""
        read = WholeRead(self._redis)
        bucket = bucket_of(action_id)
        read.of(bucket).hget(drawer(PROJECT, bucket, ProjectKey.OUTCOMES, action_id), short(action_id))
        change_json = live_value((await read.answer())[0])
        return None if change_json is None else CaseChange.model_validate_json(change_json)

    async def page(self, queue: str, *, limit: int, after: Cursor | None = None) -> Page:
        """The open and claimed cases of a queue, by score, then oldest first. Disposed cases are in no queue. Each bucket's best
        `limit` below the cursor, merged. Ties are cut by the case's id, downwards, as Redis orders them."""
        below = "+inf" if after is None else f"({after.rank:.0f}"
        cursors = await self._read_ranked(queue, below, "-inf", limit + 1)
        if after is not None:
            rank = f"{after.rank:.0f}"
            cursors += [tie for tie in await self._read_ranked(queue, rank, rank) if tie.case_id < after.case_id]
        cursors.sort(reverse=True)
        chosen = cursors[:limit]
        return Page(await self._load_cases([cursor.case_id for cursor in chosen]), chosen[-1] if len(cursors) > limit else None)

    async def _read_ranked(self, queue: str, high: str, low: str, most: int | None = None) -> list[Cursor]:
        """The cases of a queue between two ranks, at most this many from each bucket."""
        read = WholeRead(self._redis)
        bounds = {} if most is None else {"start": 0, "num": most}
        for bucket in range(BUCKETS):
            read.of(bucket).zrevrangebyscore(
                PROJECT.key(bucket, ProjectKey.RANKINGS, queue), high, low, withscores=True, **bounds
            )
        return [Cursor(float(score), in_full(member)) for rows in await read.answer() for member, score in rows]

    async def standings(self) -> list[Standing]:
        names = WholeRead(self._redis)
        for bucket in range(BUCKETS):
            names.of(bucket).smembers(PROJECT.key(bucket, ProjectKey.ALIKE_NAMES))
        bucket_keys = [(bucket, key) for bucket, keys in enumerate(await names.answer()) for key in keys]
        read = WholeRead(self._redis)
        for bucket, key in bucket_keys:
            alike = PROJECT.key(bucket, ProjectKey.ALIKE, key.decode().partition(":")[2])
            read.of(bucket).zcard(alike)
            read.of(bucket).zrange(alike, 0, 0, withscores=True)
        answers = await read.answer()
        totals: dict[bytes, tuple[int, int]] = {}
        for (_, key), n, first in zip(bucket_keys, answers[0::2], answers[1::2], strict=True):
            cases, oldest = totals.get(key, (0, 0))
            since = int(first[0][1]) if first else 0
            totals[key] = cases + n, min(oldest or since, since or oldest)
        return [_read_standing(key.decode(), *total) for key, total in sorted(totals.items())]


def _read_standing(key: str, cases: int, oldest_ms: int) -> Standing:
    _, status, severity, queue = key.split(":", 3)
    return Standing(queue, severity, status, cases, oldest_ms)


def ask_case(read: WholeRead, case_id: str) -> None:
    bucket = bucket_of(case_id)
    read.of(bucket).hget(drawer(PROJECT, bucket, ProjectKey.CASES, case_id), case_id)


def case_json(entry: Any) -> bytes:
    """Of what `ask_case` was answered."""
    return packing.unpack(case_entry(entry).case)
