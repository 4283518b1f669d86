"""Deadlines of the law and the operator: as policy (`DeadlineRule`) and as they run in a case (`Deadline`).

Invariant: the code contains no length of time. A deadline in a case carries its own instants, so a changed policy does not move
it. `(name, run)` names one run of a deadline within its case and is never used again.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, model_validator

from schemas.common import Instant, Name, PartyId, Stored, Strict
from schemas.signals.submission import SignalKind

Severity = Literal["critical", "high", "medium", "low"]
CalendarKind = Literal["elapsed", "working"]
DeadlineName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{1,47}$")]
Beginning = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""Prefix of names of institutions, for example `bank-`."""
HourMinute = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
"""Local time of day, quoted in YAML: an unquoted 18:00 is read as a number."""

_EXACT_S = {"seconds": 1, "minutes": 60, "hours": 3600}


class Length(Strict):
    """Exactly one of the members, at most the 400 days that facts are kept. Seconds, minutes and hours run from the instant.
    Days, working days and months follow the calendar: the day of the start does not count, the last day counts to its end (Civil
    Code 201 to 203)."""

    seconds: int | None = Field(default=None, ge=1, le=34_560_000)
    minutes: int | None = Field(default=None, ge=1, le=576_000)
    hours: int | None = Field(default=None, ge=1, le=9_600)
    days: int | None = Field(default=None, ge=1, le=400)
    working_days: int | None = Field(default=None, ge=1, le=260)
    months: int | None = Field(default=None, ge=1, le=13)

    @model_validator(mode="after")
    def _check_unit(self) -> Length:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError("a length requires exactly one of seconds, minutes, hours, days, working_days, months")
        return self

    @cached_property
    def unit(self) -> str:
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @cached_property
    def count(self) -> int:
        return int(getattr(self, self.unit))

    @cached_property
    def exact_s(self) -> int | None:
        """The length in seconds; None for days, working days and months, which depend on the calendar."""
        return self.count * _EXACT_S[self.unit] if self.unit in _EXACT_S else None

    def __str__(self) -> str:
        return f"{self.count} {self.unit.replace('_', ' ')}"


class DutyRole(StrEnum):
    """The person to notify. OFFICER: the holder of the case, or the institution that the deadline concerns."""

    OFFICER = "officer"
    UNIT_HEAD = "unit_head"
    CITY = "city"


_RANKS = tuple(DutyRole)


class Escalation(Strict):
    """The additional person to notify at this time past due."""

    to: DutyRole
    after: Length


class DeadlineRule(Strict):
    """The rule of a deadline: length, legal basis, renewals, and the persons to notify when it ends.

    `calendar: working`: seconds, minutes and hours run in office hours only, and a last day off moves to the next working day
    (Civil Code 203). Working days are always `working`; everything else defaults to `elapsed`. `needs_confirmation` until an
    operator has read the original of the basis. `severity`: only for cases of it. `warn_before` counts back from the due time in
    elapsed time. `renewals: null`: no limit.
    """

    name: DeadlineName
    length: Length
    severity: Severity | None = None
    calendar: CalendarKind | None = None
    basis: str = Field(min_length=2, max_length=200)
    needs_confirmation: bool = True
    renewals: int | None = Field(default=0, ge=0)
    notify: Annotated[tuple[PartyId, ...], Field(max_length=8)] = ()
    warn_before: Length | None = None
    escalate: Annotated[tuple[Escalation, ...], Field(max_length=3)] = ()

    @property
    def working(self) -> bool:
        return self.calendar == "working" or self.length.unit == "working_days"

    @model_validator(mode="after")
    def _check_rule(self) -> DeadlineRule:
        if self.length.unit == "working_days" and self.calendar == "elapsed":
            raise ValueError(f"{self.name}: working_days require the working calendar, not elapsed time")
        self._warns()
        ranks = [_RANKS.index(step.to) for step in self.escalate]
        if any(after <= before for before, after in pairwise(ranks)):
            raise ValueError(f"{self.name}: escalate must go from officer to unit_head to city, each at most once")
        spans = [step.after.exact_s for step in self.escalate]
        if any(b is not None and a is not None and a <= b for b, a in pairwise(spans)):
            raise ValueError(f"{self.name}: each step of escalate requires a longer time than the previous one")
        return self

    def _warns(self) -> None:
        if self.warn_before is None:
            return
        before_s, length_s = self.warn_before.exact_s, self.length.exact_s
        if before_s is None:
            raise ValueError(f"{self.name}: warn_before requires exactly one of seconds, minutes, hours")
        if length_s is not None and before_s >= length_s:
            raise ValueError(f"{self.name}: warn_before ({self.warn_before}) must be shorter than the length ({self.length})")


class OfficeHours(Strict):
    """Office hours of a working day in local time."""

    opens: HourMinute = "08:30"
    closes: HourMinute = "18:00"
    needs_confirmation: bool = True

    @model_validator(mode="after")
    def _order(self) -> OfficeHours:
        if self.opens >= self.closes:
            raise ValueError(f"office hours must open ({self.opens}) before they close ({self.closes})")
        return self

    @cached_property
    def span_s(self) -> tuple[int, int]:
        """Opening and closing time in seconds of the day."""
        opens, closes = (int(hour_minute[:2]) * 3600 + int(hour_minute[3:]) * 60 for hour_minute in (self.opens, self.closes))
        return opens, closes


class Deadlines(Strict):
    """The policy's section `deadlines`. `duties`: kind of signal ->
    the clocks that run for whoever reports it (Arts. 21 and 22: warn, block, report). `confirmed`: the clocks that run for those
    who reported a case once it is disposed of as confirmed -> whose, by how their names begin (none: all of them)."""

    office: OfficeHours = OfficeHours()
    duties: dict[SignalKind, Annotated[tuple[DeadlineName, ...], Field(max_length=4)]] = {}
    confirmed: dict[DeadlineName, Annotated[tuple[Beginning, ...], Field(max_length=32)]] = Field(default={}, max_length=4)
    rules: Annotated[tuple[DeadlineRule, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Deadlines:
        severities_of: dict[str, set[str | None]] = {}
        for rule in self.rules:
            severities = severities_of.setdefault(rule.name, set())
            if rule.severity in severities:
                raise ValueError(f"{rule.name} {rule.severity or ''}".strip() + " occurs twice")
            severities.add(rule.severity)
        for name, severities in severities_of.items():
            # A severity that was forgotten would be a duty without a clock, and nobody would see it.
            if None not in severities and (unset := [level for level in get_args(Severity) if level not in severities]):
                raise ValueError(f"{name} has no length for {', '.join(unset)}; set one for each severity, or one without")
        if unknown := sorted({name for names in self.duties.values() for name in names} - set(severities_of)):
            raise ValueError(f"duties: there is no deadline {', '.join(unknown)}")
        if unknown := sorted(set(self.confirmed) - set(severities_of)):
            raise ValueError(f"confirmed: there is no deadline {', '.join(unknown)}")
        return self

    @cached_property
    def _by_name(self) -> dict[tuple[str, str | None], DeadlineRule]:
        return {(rule.name, rule.severity): rule for rule in self.rules}

    def rule(self, name: str, severity: str | None = None) -> DeadlineRule | None:
        """Returns the rule for the severity, else the general one; None if the policy has no such deadline."""
        return self._by_name.get((name, severity)) or self._by_name.get((name, None))


class DeadlineState(StrEnum):
    """STOPPED: the duty was done, in time or late. FIRED: due and still outstanding. CANCELLED: the duty ended, or the deadline
    was restarted. `fired_at` records whether it fell due before its end."""

    OPEN = "open"
    FIRED = "fired"
    STOPPED = "stopped"
    CANCELLED = "cancelled"


class DeadlineStep(StrEnum):
    """The moments of a deadline in order. Each is a due moment of its own."""

    WARN = "warn"
    DUE = "due"
    ESCALATE_1 = "escalate-1"
    ESCALATE_2 = "escalate-2"
    ESCALATE_3 = "escalate-3"


class Rung(Stored):
    """One escalation step of a running deadline."""

    to: DutyRole
    at: Instant


class Deadline(Stored):
    """A deadline of a case. `run` counts the runs of this name in the case; `about` is its object (an order, an institution).

    `step` falls due next, at `next_at`; both are None if nothing more falls due. `late`: whether the act that stopped it came
    after `due_at`; None without such an act. `estimated`: the computation passed a year without a confirmed notice of days off,
    so the instants may be days off. `severity` is that of its rule. `unit` is the queue that owes it, even after a transfer; None
    if an institution owes it, or nobody.
    """

    name: DeadlineName
    run: int = Field(ge=1)
    about: Name | None = None
    severity: Severity | None = None
    state: DeadlineState
    started_at: Instant
    due_at: Instant
    warn_at: Instant | None = None
    escalations: tuple[Rung, ...] = Field(default=(), max_length=3)
    step: DeadlineStep | None = None
    next_at: Instant | None = None
    fired_at: Instant | None = None
    stopped_at: Instant | None = None
    late: bool | None = None
    estimated: bool = False
    unit: Name | None = None


class Due(Stored):
    """A due moment of a deadline: `step` of `run` of `name`. The timekeeper requests it."""

    deadline: DeadlineName
    run: int = Field(ge=1)
    step: DeadlineStep
