"""oversee: decides on the coordination body's requests about member units, and on campaigns. One at a time, in log order.

It works like `track`: read the records, decide in order, record the facts, project. Nothing changes before the facts are in the
log.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.codec import CodecError, decode, dump, encode
from schemas.common import from_ms
from schemas.envelope import Origin
from schemas.oversight.oversight import OversightAction, OversightChange, Record
from schemas.topics import APPRAISAL_CHANGES, APPRAISAL_COMMANDS
from stream_processors.agents.base import Agent, AgentPorts, Batch
from stream_processors.domain.oversight import dispatch as decision
from stream_processors.domain.oversight.revisions import Signer
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import Record as LogRecord
from stream_processors.runtime.metrics import METRICS, Steps
from stream_processors.state.effects import Arg
from stream_processors.state.keys import BUCKETS
from stream_processors.state.store import Write
from stream_processors.topology import STAGES
from stream_processors.views.oversight import parsed, record_effect


@dataclass(slots=True)
class _Work:
    record: LogRecord
    now: datetime
    action: OversightAction | None = None
    actor: str = "unknown"
    why: str = ""


class Oversee(Agent):
    """`signer` locks a year's result; without it none is locked, and the request is refused with this reason."""

    stage = STAGES["oversee"]

    def __init__(self, ports: AgentPorts, signer: Signer | None = None) -> None:
        super().__init__(ports)
        self._signer = signer

    async def _process_poll(self, batch: Batch) -> None:
        point("oversee.polled")
        steps = Steps("oversee")
        works = [_read_work(record) for records in batch.values() for record in records]
        records = await self._load_records(works)
        steps.done("read")
        changed: dict[str, Record] = {}
        facts: list[tuple[LogRecord, bytes | None, bytes]] = []
        written, outcomes = datetime.now(UTC), Counter[str]()
        for work in works:
            change = self._decide_change(work, records)
            if change.about is not None and (after := change.record) is not None:
                records[change.about] = changed[change.about] = after
            key = work.record.key if work.action else None
            facts.append((work.record, key, _encode_change(work, change, written)))
            outcomes[change.outcome.value] += 1
        for outcome, n in outcomes.items():
            METRICS.facts.labels("oversee", outcome).inc(n)
        steps.done("decide")
        point("oversee.decided")
        await self._dead.flush()
        point("oversee.buried")
        await self.append_facts(APPRAISAL_CHANGES, facts)
        steps.done("record")
        point("oversee.recorded")
        await self._fold_changes(works, changed)
        steps.done("fold")
        point("oversee.folded")

    async def _load_records(self, works: list[_Work]) -> dict[str, Record | None]:
        names = list(dict.fromkeys(work.action.about for work in works if work.action))
        raw_records = await self.store.cases(self._stamp, names)
        return {name: None if raw is None else parsed(name, raw) for name, raw in zip(names, raw_records, strict=True)}

    def _decide_change(self, work: _Work, records: dict[str, Record | None]) -> OversightChange:
        action = work.action
        if action is None:
            self._dead.add(APPRAISAL_COMMANDS, work.record, work.why)
            METRICS.dead.labels("oversee").inc()
            return decision.unreadable(work.why, work.now)
        record = records[action.about]
        return decision.decide(action=action, actor=work.actor, record=record, now=work.now, signer=self._signer)

    async def _fold_changes(self, works: list[_Work], changed: dict[str, Record]) -> None:
        args: list[list[Arg]] = [[] for _ in range(BUCKETS)]
        for about, record in changed.items():
            effect = record_effect(about, record.revision, dump(record))
            args[effect.bucket] += effect.args
        sets = self.marks_behind(work.record for work in works)
        checks = self.checks_before(sets)
        await self.store.call("fold", self._stamp, {b: Write(checks, sets, args[b]) for b in range(BUCKETS)})
        self.marks |= sets


def _read_work(record: LogRecord) -> _Work:
    now = from_ms(record.timestamp_ms)
    try:
        envelope = decode(APPRAISAL_COMMANDS, record.value)
        action: OversightAction = envelope.data
        if record.key != action.about.encode():
            raise CodecError("the key of the record is not the id of its subject")
        return _Work(record, now, action, envelope.actor)
    except ValueError as error:
        return _Work(record, now, why=str(error))


def _encode_change(work: _Work, change: OversightChange, written: datetime) -> bytes:
    record = work.record
    return encode(
        APPRAISAL_CHANGES,
        change,
        id=f"overseen-{record.partition}:{record.offset}",
        source="/oversee",
        actor=work.actor,
        time=written,
        origin=Origin(APPRAISAL_COMMANDS.name, record.partition, record.offset),
        subject=change.about,
    )
