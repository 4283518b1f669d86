"""One case played through the whole loop by the pure core: who does what, at which minute; what was said is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from schemas.cases.case import Action, ActionKind, ActionOutcome, Case, CaseChange, Disposition
from schemas.deadlines import Deadline, DeadlineState, Due
from schemas.holidays import Holidays
from schemas.orders.order import Order
from stream_processors.domain.cases import decide as case
from stream_processors.domain.deadlines.calendar import Calendar, calendar_of
from tests.support.builders import POLICY, T0, after, join
from tests.support.order_builders import ANSWERS, event, issue

QUEUE = "public-security-630202"
CALENDAR: Calendar = calendar_of(Holidays(years={}), POLICY.deadlines.office)


class Loop:
    """`at` minutes after T0. A refused action is an AssertionError unless it is asked for (`refused`)."""

    def __init__(self, case_id: str = "case-1") -> None:
        self.case_id, self.case, self.now = case_id, None, T0
        self.changes: list[CaseChange] = []
        self._n = 0

    @property
    def it(self) -> Case:
        assert self.case is not None
        return self.case

    def decide(self, action: Action, actor: str, at: float | None = None) -> CaseChange:
        if at is not None:
            self.now = after(minutes=at)
        change = case.decide(action=action, actor=actor, case=self.case, policy=POLICY, now=self.now, calendar=CALENDAR)
        self.case = change.case or self.case
        self.changes.append(change)
        return change

    def do(self, kind: str, actor: str = "officer:officer-a", at: float | None = None, **fields: Any) -> CaseChange:
        change = self.decide(self.action(kind, actor, **fields), actor, at)
        assert change.outcome is not ActionOutcome.REFUSED, (change.problem, change.detail)
        return change

    def refused(self, kind: str, actor: str = "officer:officer-a", at: float | None = None, **fields: Any) -> str:
        change = self.decide(self.action(kind, actor, **fields), actor, at)
        assert change.outcome is ActionOutcome.REFUSED and change.case is None
        return change.problem or ""

    def action(self, kind: str, actor: str, **fields: Any) -> Action:
        self._n += 1
        role, _, name = actor.partition(":")
        officer = {"officer": name} if role == "officer" else {}
        if "disposition" in fields:
            fields["disposition"] = Disposition(fields["disposition"])
        whole = {"action_id": f"act-{self._n}", "case_id": self.case_id, "kind": kind, "queue": QUEUE, **officer}
        return Action.trusted(**{**whole, "kind": ActionKind(kind), **fields})

    def joined(self, institution: str = "bank-001", at: float | None = None, **over: Any) -> CaseChange:
        n = len(self.changes)
        action = join(self.case_id, f"join-{n}", **{"signal_id": f"sig-{n}", "institution": institution, **over})
        change = self.decide(action, "stage:assess", at)
        assert change.case is not None
        return change

    def claimed(self, at: float | None = None) -> Loop:
        """A case of one bank's signal, held by officer-a."""
        self.joined()
        self.do("claim", at=at)
        return self

    def ordered(self, kind: str = "stop_payment", order_id: str = "ord-1", **over: Any) -> CaseChange:
        return self.do("order", order=issue(kind, order_id, case_id=self.case_id, **over))

    def answered(self, kind: str, order_id: str = "ord-1", at: float | None = None, **over: Any) -> CaseChange:
        said = event(kind, order_id, **{**ANSWERS.get(kind, {}), **over})
        return self.do("order", f"institution:{self.order(order_id).recipient}", at, order=said)

    def executed(self, kind: str = "stop_payment", order_id: str = "ord-1", **over: Any) -> Order:
        self.ordered(kind, order_id, **over)
        if self.order(order_id).verify_fields:
            self.answered("verify", order_id)
        self.answered("execute", order_id)
        return self.order(order_id)

    def order(self, order_id: str = "ord-1") -> Order:
        return next(one for one in self.it.orders if one.order_id == order_id)

    def clock(self, name: str, about: str | None = None) -> Deadline:
        """The newest run."""
        return [one for one in self.it.deadlines if (one.name, one.about) == (name, about)][-1]

    def running(self) -> set[tuple[str, str | None]]:
        return {(one.name, one.about) for one in self.it.deadlines if one.state in (DeadlineState.OPEN, DeadlineState.FIRED)}

    def falls_due(self, clock: Deadline, at: datetime | None = None) -> CaseChange:
        """What the timekeeper asks for when the clock's next moment has come."""
        assert clock.step is not None and clock.next_at is not None
        self.now = at or max(self.now, clock.next_at)
        due = {"deadline": clock.name, "run": clock.run, "step": clock.step}
        action = self.action("deadline_due", "stage:timekeeper", due=Due.trusted(**due))
        return self.decide(action, "stage:timekeeper")

    def told(self) -> list[tuple[str, str]]:
        """(recipient, what) of the newest change."""
        return [(one.recipient, one.template) for one in self.changes[-1].notifications]
