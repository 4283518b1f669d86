"""Reads the remains of decisions whose facts the log has lost: the joins that were appended for them, and their retractions.

Such a signal is decided again, and the result may differ, because other partitions may have moved on. But its first join is still
in the log, and a second one would be dropped as a redelivery (domain/signals/first_decision.py). Invariant: all that is read here
was appended after the lost facts, so a search from the newest remaining fact finds all of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.cases.case import Action, ActionKind, ActionOutcome, CaseChange, JoinedSignal
from schemas.codec import CodecError, decode
from schemas.envelope import Origin
from schemas.signals.assessed import Route
from schemas.signals.retraction import JOINS_OF_ONE, name_of, signal_of_join, source_of_join
from schemas.signals.submission import SubmittedSignal
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, SUBMITTED, Topic
from stream_processors.domain.signals.first_decision import FirstDecision, StandingJoin
from stream_processors.runtime.generations import Window, windows
from stream_processors.runtime.log import Log, Record, partition_of


class _Join(NamedTuple):
    n: int
    action_id: str
    case_id: str
    signal: JoinedSignal | None


@dataclass
class LostDecisions:
    """By the sources (partition, position) to decide again."""

    joins: dict[tuple[int, int], dict[str, _Join]] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    """Signals with their versions, and queues: the names of actions consist of these."""
    newest: dict[tuple[int, int], int] = field(default_factory=dict)
    """Highest number of a join (position * 16 + n) by partition of the actions and of the sources."""

    def add_join(self, origin: Origin, action_id: str, case_id: str, signal: JoinedSignal | None) -> None:
        at = partition_of(case_id.encode(), CASE_COMMANDS.partitions), origin.partition
        self.newest[at] = max(self.newest.get(at, 0), origin.offset * JOINS_OF_ONE + origin.n)
        joins = self.joins.setdefault((origin.partition, origin.offset), {})
        if action_id not in joins or joins[action_id].signal is None:
            joins[action_id] = _Join(origin.n, action_id, case_id, signal)

    def ranges(self) -> dict[int, tuple[int, int]]:
        """The ranges with sources with joins, by partition."""
        positions: dict[int, list[int]] = {}
        for p, position in self.joins:
            positions.setdefault(p, []).append(position)
        return {p: (min(partition_positions), max(partition_positions) + 1) for p, partition_positions in positions.items()}

    def of(self, partition: int, position: int, signal: SubmittedSignal) -> FirstDecision | None:
        """The remains of the first decision about a signal; None: the log shows no such decision."""
        if position > max((n // JOINS_OF_ONE for (_, p), n in self.newest.items() if p == partition), default=-1):
            return None
        name = name_of(signal.signal_id, signal.version)
        recorded = self.joins.get((partition, position), {}).values()
        joins = sorted((join for join in recorded if join.action_id.startswith(f"join-{name}-")), key=lambda join: join.n)
        live = [join for join in joins if join.action_id.removeprefix("join-") not in self.withdrawn]
        return FirstDecision(
            tuple(StandingJoin(_route(join, name), join.signal) for join in live),
            is_withdrawn=bool(joins) and not live,
            is_passed=lambda case_id, n: self._is_passed(partition, position, case_id, n),
        )

    def _is_passed(self, partition: int, position: int, case_id: str, n: int) -> bool:
        at = partition_of(case_id.encode(), CASE_COMMANDS.partitions), partition
        return position * JOINS_OF_ONE + n <= self.newest.get(at, -1)


def _route(join: _Join, name: str) -> Route:
    return Route.trusted(queue=join.action_id.removeprefix(f"join-{name}-"), case_id=join.case_id)


async def read_lost_decisions(log: Log, next_sources: Mapping[int, int]) -> LostDecisions:
    """`next_sources`: by partition, the first source without a fact. Nothing is read unless facts were lost and such a source was
    stored before the recovery."""
    decisions = LostDecisions()
    lost = [window for p, position in next_sources.items() for window in await _windows(log, p, position)]
    if lost:
        since_ms = min(window.since_ms for window in lost)
        async for record in read_since(log, CASE_COMMANDS, since_ms):
            _add_action(log, decisions, record, next_sources)
        if any(window.until_ms >= since_ms for window in windows(log.generations, [CASE_COMMANDS.name])):
            async for record in read_since(log, CASE_CHANGES, since_ms):  # the action is lost, what it changed is not
                _add_change(decisions, record, next_sources)
    return decisions


async def _windows(log: Log, p: int, position: int) -> list[Window]:
    """The losses after which the source at a position, the next of its partition, is decided again."""
    lost = windows(log.generations, [ASSESSED.name], p)
    end = (await log.ends(SUBMITTED))[p] if lost else 0
    if lost and position < end:
        async for records in log.read(SUBMITTED, p, position, end):
            return [window for window in lost if records[0].timestamp_ms <= window.until_ms]
    return []


async def read_since(log: Log, topic: Topic, since_ms: int, until_ms: int | None = None) -> AsyncIterator[Record]:
    """The records of a topic from one time to another or to its end, by partition."""
    begins, ends = (
        await log.since(topic, since_ms),
        await (log.ends(topic) if until_ms is None else log.since(topic, until_ms + 1)),
    )
    async for records in log.read_ranges(topic, {p: (begin, ends[p]) for p, begin in begins.items() if begin < ends[p]}):
        for record in records:
            yield record


def _add_action(log: Log, decisions: LostDecisions, record: Record, next_sources: Mapping[int, int]) -> None:
    try:
        envelope = decode(CASE_COMMANDS, record.value)
        action: Action = envelope.data
        if action.kind not in (ActionKind.JOIN, ActionKind.RETRACT):
            return
        origin = Origin.parse(envelope.origin or "")
    except (CodecError, ValueError):
        return  # track puts it into the dead letters, and nothing joins by it
    if origin.topic == CASE_CHANGES.name and log.generations.is_lost(*origin[:3]):
        return  # it was sent on by a case: what it follows from says the same, or it counts no more (lost_causes.py)
    if action.kind is ActionKind.RETRACT:
        decisions.withdrawn.add(action.action_id.removeprefix("retract-"))
    elif origin.topic == SUBMITTED.name and origin.offset >= next_sources.get(origin.partition, 0):
        decisions.add_join(origin, action.action_id, action.case_id, action.signal)


def _add_change(decisions: LostDecisions, record: Record, next_sources: Mapping[int, int]) -> None:
    try:
        change: CaseChange = decode(CASE_CHANGES, record.value).data
    except CodecError:
        return
    if change.outcome is not ActionOutcome.APPLIED or not change.action_id or change.case is None:
        return
    if change.kind is ActionKind.RETRACT:
        decisions.withdrawn.add(change.action_id.removeprefix("retract-"))
    source = source_of_join(change.origin)
    if change.kind is ActionKind.JOIN and source is not None and source[1] >= next_sources.get(source[0], 0):
        signal = signal_of_join(change.action_id, change.case.signals)
        decisions.add_join(Origin(SUBMITTED.name, *source), change.action_id, change.case.case_id, signal)
