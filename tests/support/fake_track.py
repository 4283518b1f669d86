"""A small track for the timekeeper's tests: cases with clocks and nothing else, decided by the pure core from the log alone.

`ask` appends an officer's wish to the actions (`start block 5000`, `stop block`, `cancel`), `work` decides what is there, one
fact a record, by its LogAppendTime. Over any log: the one in memory or Kafka.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from schemas.cases.case import Action, ActionKind, ActionOutcome, CaseChange
from schemas.codec import decode, encode
from schemas.common import from_ms
from schemas.deadlines import Deadline, Deadlines
from schemas.envelope import Origin
from schemas.topics import CASE_CHANGES, CASE_COMMANDS
from stream_processors.domain.deadlines import deadlines as domain
from stream_processors.runtime.log import Log, Record
from tests.support.builders import opened_case
from tests.support.clocks import CALENDAR, RULES

NEW = opened_case().model_copy(update={"revision": 0, "deadlines": ()})
Fired = tuple[str, str, int, str]
"""Case, clock, run, step."""


class FakeTrack:
    def __init__(self, log: Log, rules: Deadlines = RULES) -> None:
        self.log, self.rules = log, rules
        self.cases: dict[str, Any] = {}
        self.at: Counter[int] = Counter()
        self.fired: Counter[Fired] = Counter()
        self.late_ms: dict[Fired, float] = {}
        self.refused: Counter[str] = Counter()
        self._wishes = 0

    async def ask(self, case_id: str, wish: str) -> None:
        self._wishes += 1
        action = Action.trusted(
            action_id=f"{self._wishes} {wish}", case_id=case_id, kind=ActionKind.ACKNOWLEDGE, queue="q", officer="officer-a"
        )
        value = encode(CASE_COMMANDS, action, id=action.action_id, source="/gateway", actor="officer:officer-a", time=from_ms(0))
        await self.log.append_keyed(CASE_COMMANDS, [(case_id.encode(), value)])

    async def work(self, most: int = 1 << 30) -> int:
        """Decides up to `most` records of each partition; how many there were."""
        done = 0
        for p, end in (await self.log.ends(CASE_COMMANDS)).items():
            async for records in self.log.read(CASE_COMMANDS, p, self.at[p], min(end, self.at[p] + most)):
                facts = [(record.key, self._fact(record)) for record in records]
                await self.log.append(CASE_CHANGES, {p: facts})
                self.at[p] = records[-1].offset + 1
                done += len(records)
        return done

    def _fact(self, record: Record) -> bytes:
        action = decode(CASE_COMMANDS, record.value).data
        change = self._decided(action, record.timestamp_ms)
        return encode(
            CASE_CHANGES,
            change,
            id=f"changed-{record.partition}:{record.offset}",
            source="/track",
            actor="stage:track",
            time=change.at,
            origin=Origin(CASE_COMMANDS.name, record.partition, record.offset),
        )

    def _decided(self, action: Action, at_ms: int) -> CaseChange:
        now = from_ms(at_ms)
        head = {"action_id": action.action_id, "case_id": action.case_id, "kind": action.kind, "at": now, "actor": "test"}
        case = self.cases.get(action.case_id) or NEW.model_copy(update={"case_id": action.case_id})
        clocks, why = self._clocks(case.deadlines, action, at_ms)
        if why:
            self.refused[why] += 1
            return CaseChange.trusted(**head, outcome=ActionOutcome.REFUSED, detail=why)
        case = case.model_copy(update={"deadlines": clocks, "revision": case.revision + 1, "changed_at": now})
        self.cases[action.case_id] = case
        return CaseChange.trusted(**head, outcome=ActionOutcome.APPLIED, case=case, revision=case.revision)

    def _clocks(self, clocks: tuple[Deadline, ...], action: Action, at_ms: int) -> tuple[tuple[Deadline, ...], str]:
        now = from_ms(at_ms)
        if (due := action.due) is not None:
            was = next((one for one in clocks if (one.name, one.run) == (due.deadline, due.run)), None)
            found = domain.due(clocks, name=due.deadline, run=due.run, step=due.step, rules=self.rules, now=now)
            if found.refusal is not None:
                return clocks, found.refusal.problem
            assert was is not None and was.next_at is not None
            name = action.case_id, due.deadline, due.run, due.step.value
            self.fired[name] += 1
            self.late_ms[name] = (now - was.next_at) / timedelta(milliseconds=1)
            return found.clocks, ""
        _, what, *words = action.action_id.split()
        if what == "start":
            until = now + timedelta(milliseconds=int(words[1])) if len(words) > 1 else None
            started = domain.start(
                clocks, domain.DeadlineRequest(words[0], until=until), rules=self.rules, calendar=CALENDAR, now=now
            )
            return started.clocks, started.refusal.problem if started.refusal else ""
        if what == "stop":
            return domain.stop(clocks, name=words[0], now=now).clocks, ""
        return domain.cancel(clocks, now=now), ""
