"""track: decides on cases. Joins of signals and officers' actions, one record at a time, in the log's order.

One poll's step: read the cases, decide in order, record the facts, project. Nothing changes before the facts are in the log.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.cases.case import Action, ActionKind, Case, CaseChange
from schemas.codec import CodecError, decode, encode
from schemas.common import MAX_OFFSET, from_ms
from schemas.envelope import Origin
from schemas.holidays import Holidays
from schemas.policy import Policy
from schemas.signals.retraction import JOINS_OF_ONE
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, MAX_RECORD_BYTES, RETRACTIONS, SUBMITTED
from stream_processors.agents.base import Agent, AgentPorts, Batch
from stream_processors.agents.lost_causes import LostCauses
from stream_processors.domain.cases import decide as decision
from stream_processors.domain.deadlines.calendar import calendar_of
from stream_processors.domain.orders import caps as order_caps
from stream_processors.domain.orders.caps import Account
from stream_processors.folds.track import caps_key, case_effect, used_effects
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import Record
from stream_processors.runtime.metrics import METRICS, Steps
from stream_processors.state.case_refs import brief
from stream_processors.state.effects import Arg, Effect
from stream_processors.state.keys import BUCKETS
from stream_processors.state.marks import Marks, MarkStream, RequestOrigin
from stream_processors.state.restore import Restored
from stream_processors.state.store import Write
from stream_processors.topology import STAGES

_Caps = Mapping[Account, dict[bytes, int]]

CASES_CACHED = 256
LARGEST = MAX_RECORD_BYTES - (68 << 10)
"""Largest change in bytes: it fits into one batch of the log together with its key and the overhead of the broker."""
ORIGINS = {
    SUBMITTED.name: (SUBMITTED, MarkStream.OWN, JOINS_OF_ONE),
    RETRACTIONS.name: (RETRACTIONS, MarkStream.RETRACTIONS, 512),
    CASE_CHANGES.name: (CASE_CHANGES, MarkStream.CASES, 512),
}
"""Whose records ask for actions (assess for signals, deliver for what one case hands over to another): the topic's name in the
marks, and a step: the requests of one record are numbered below it, so `offset * step + n` orders those of a source partition."""
SOURCED = {
    ActionKind.JOIN: (SUBMITTED, CASE_CHANGES),
    ActionKind.RETRACT: (RETRACTIONS, CASE_CHANGES),
    ActionKind.ABSORB: (CASE_CHANGES,),
}
"""Kinds of action that have a source, and its topic. Of the other kinds, only those that deliver forwards have one."""


@dataclass(slots=True)
class _Work:
    record: Record
    now: datetime
    action: Action | None = None
    actor: str = "unknown"
    origin: RequestOrigin | None = None
    why: str = ""
    is_needless: bool = False


class Track(Agent):
    stage = STAGES["track"]

    def __init__(self, ports: AgentPorts, *, holidays: Holidays = Holidays(years={})) -> None:  # noqa: B008 (frozen)
        super().__init__(ports)
        self._cache: OrderedDict[str, Case] = OrderedDict()
        self._lost_causes = LostCauses(ports.log)
        self._holidays = holidays
        self._calendar = calendar_of(holidays, ports.policy.deadlines.office)

    async def take_policy(self, policy: Policy) -> None:
        await super().take_policy(policy)
        self._calendar = calendar_of(self._holidays, policy.deadlines.office)

    async def _restore_state(self) -> Restored:
        self._cache.clear()  # what others did to a partition that comes back is not in here
        self._lost_causes.forget()
        return await super()._restore_state()

    async def _process_poll(self, batch: Batch) -> None:
        point("track.polled")
        steps = Steps("track")
        works = [_read_work(record) for records in batch.values() for record in records]
        needless = await self._lost_causes.find_needless(work.record for work in works)
        for work in works if needless else ():
            work.is_needless = (work.record.partition, work.record.offset) in needless
        cases = await self._load_cases(works)
        caps = await self._load_caps(works, cases)
        steps.done("read")
        point("track.observed")
        marks: Marks = {}
        changed: dict[str, CaseChange] = {}
        used: list[Effect] = []
        facts: list[tuple[Record, bytes | None, bytes]] = []
        outcomes: Counter[str] = Counter()
        written = datetime.now(UTC)
        for work in works:
            change, value = _fit_change(work, self._decide_change(work, cases, caps, marks), cases, written)
            if change.case is not None:
                cases[change.case.case_id] = change.case
                changed[change.case.case_id] = change
                used += used_effects(change.case.case_id, change.order_counts)
                for use in change.order_counts:
                    caps.get(Account(use.kind, use.recipient, use.token), {})[brief(change.case.case_id)] = use.count
            key = work.record.key if work.action else None  # a poison record's key may be anything, of any size
            facts.append((work.record, key, value))
            outcomes[change.outcome.value] += 1
        for outcome, n in outcomes.items():
            METRICS.facts.labels("track", outcome).inc(n)
        steps.done("decide")
        point("track.decided")
        await self._dead.flush()
        point("track.buried")
        await self.append_facts(CASE_CHANGES, facts)
        steps.done("record")
        point("track.recorded")
        await self._fold_changes(works, changed, used, marks)
        self._remember_cases(changed)
        steps.done("fold")
        point("track.folded")

    async def _load_cases(self, works: list[_Work]) -> dict[str, Case | None]:
        case_ids = dict.fromkeys(work.action.case_id for work in works if work.action)
        cases: dict[str, Case | None] = {name: self._cache.get(name) for name in case_ids}
        missing = [name for name, case in cases.items() if case is None]
        if missing:
            for name, raw in zip(missing, await self.store.cases(self._stamp, missing), strict=True):
                cases[name] = Case.model_validate_json(raw) if raw is not None else None
        return cases

    async def _load_caps(self, works: list[_Work], cases: Mapping[str, Case | None]) -> _Caps:
        """For the accounts that the poll may order about: the count of each case. Concurrent decisions of another worker are
        missing: two orders of one moment may exceed the cap by one (docs/decisions/0015)."""
        concerned = [order_caps.asked(work.action, cases[work.action.case_id]) for work in works if work.action]
        accounts = list(dict.fromkeys(account for account in concerned if account is not None))
        if not accounts:
            return {}
        return dict(
            zip(accounts, await self.store.scores(self._stamp, [caps_key(*account) for account in accounts]), strict=True)
        )

    def _decide_change(self, work: _Work, cases: Mapping[str, Case | None], caps: _Caps, marks: Marks) -> CaseChange:
        action = work.action
        if action is None:
            self._dead.add(CASE_COMMANDS, work.record, work.why)
            METRICS.dead.labels("track").inc()
            return decision.unreadable(work.why, work.now)
        if work.origin is not None:
            mark = work.origin.mark_in(work.record.partition)
            if work.is_needless or work.origin.number < marks.get(mark, self.marks.get(mark, 0)):
                return decision.echo(action, work.actor, work.now)
            marks[mark] = work.origin.number + 1
        case = cases[action.case_id]
        account = order_caps.asked(action, case)
        counted = caps.get(account, {}) if account else {}
        change = decision.decide(
            action=action,
            actor=work.actor,
            case=case,
            policy=self.policy,
            now=work.now,
            calendar=self._calendar,
            elsewhere=sum(counted.values()) - counted.get(brief(action.case_id), 0),
        )
        if work.origin is not None:
            change = change.model_copy(update={"origin": str(work.origin._replace(number=work.origin.number + 1))})
        return change

    async def _fold_changes(self, works: list[_Work], changed: dict[str, CaseChange], used: list[Effect], marks: Marks) -> None:
        args: list[list[Arg]] = [[] for _ in range(BUCKETS)]
        for effect in [*(case_effect(change.case) for change in changed.values() if change.case is not None), *used]:
            args[effect.bucket] += effect.args
        behind = self.marks_behind(work.record for work in works)
        checks, sets = self.checks_before(behind), marks | behind
        await self.store.call("fold", self._stamp, {b: Write(checks, sets, args[b]) for b in range(BUCKETS)})
        self.marks |= sets

    def _remember_cases(self, changed: dict[str, CaseChange]) -> None:
        for name, change in changed.items():
            assert change.case is not None
            self._cache[name] = change.case
            self._cache.move_to_end(name)
        while len(self._cache) > CASES_CACHED:
            self._cache.popitem(last=False)


def _read_work(record: Record) -> _Work:
    now = from_ms(record.timestamp_ms)
    try:
        envelope = decode(CASE_COMMANDS, record.value)
        action: Action = envelope.data
        if record.key != action.case_id.encode():
            raise CodecError("the key of the record is not its case id")
        return _Work(record, now, action, envelope.actor, _read_origin(action, envelope.origin))
    except ValueError as error:
        return _Work(record, now, why=str(error))


def _read_origin(action: Action, text: str | None) -> RequestOrigin | None:
    """The source of a stage's request. A request from outside has none."""
    if text is None and action.kind not in SOURCED:
        return None
    origin = Origin.parse(text or "")
    topic, stream, step = ORIGINS.get(origin.topic, (None, MarkStream.OWN, 1))
    if topic is None or topic not in SOURCED.get(action.kind, (CASE_CHANGES,)):
        raise CodecError(f"a {action.kind} from {origin}")
    if not (0 <= origin.partition < topic.partitions and 0 <= origin.offset < MAX_OFFSET // step and 0 <= origin.n < step):
        raise CodecError(f"a {action.kind} from {origin}")
    return RequestOrigin(stream, origin.partition, origin.offset * step + origin.n)


def _fit_change(work: _Work, change: CaseChange, cases: Mapping[str, Case | None], written: datetime) -> tuple[CaseChange, bytes]:
    """The change and its record. An oversized one would end every owner of the partition in turn: it lists less, and is refused
    if that is not enough."""
    value = _encode_change(work, change, written)
    while len(value) > LARGEST and (fewer := decision.smaller(change)) is not None:
        change, value = fewer, _encode_change(work, fewer, written)
    if len(value) > LARGEST and work.action is not None:
        refused = decision.too_large(work.action, work.actor, cases[work.action.case_id], work.now)
        change = refused.model_copy(update={"origin": change.origin})
        value = _encode_change(work, change, written)
    return change, value


def _encode_change(work: _Work, change: CaseChange, written: datetime) -> bytes:
    record = work.record
    return encode(
        CASE_CHANGES,
        change,
        id=f"changed-{record.partition}:{record.offset}",
        source="/track",
        actor=work.actor,
        time=written,
        origin=Origin(CASE_COMMANDS.name, record.partition, record.offset),
        subject=change.case_id,
    )
