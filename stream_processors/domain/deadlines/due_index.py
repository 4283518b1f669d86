"""The timekeeper's index of due moments, and its requests for them. Pure.

The index holds for each case the next moment of each of its deadlines. It is a projection of the cases' changes: only a change
removes a moment, so a refused or lost request is repeated, and the moment falls due once. Invariant: the index holds exactly the
next moment of each deadline of each case.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from schemas.cases.case import Action, ActionKind
from schemas.deadlines import DeadlineStep, Due

ACTOR = "stage:timekeeper"
QUEUE = "timekeeper"
"""Placeholder queue: an action names a queue, but a due moment concerns none, and track ignores the name."""

# Whole numbers: a float of seconds may be a millisecond too early.
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


class Running(Protocol):
    """The read members of a deadline (schemas/deadlines.py: Deadline, or a view of it)."""

    @property
    def name(self) -> str: ...
    @property
    def run(self) -> int: ...
    @property
    def step(self) -> DeadlineStep | None: ...
    @property
    def next_at(self) -> datetime | None: ...


class Moment(NamedTuple):
    """`step` of `run` of the case's clock falls due `at_ms` (milliseconds since 1970)."""

    at_ms: int
    clock: str
    run: int
    step: DeadlineStep


class Member(NamedTuple):
    """One moment of one deadline, by its name: the unit of a request."""

    case_id: str
    clock: str
    run: int
    step: DeadlineStep


def due_ms(moment: datetime) -> int:
    """In whole milliseconds, like the log's times, and never before the moment."""
    return max(0, -((_EPOCH - moment) // _MS))


def moments(clocks: Iterable[Running]) -> tuple[Moment, ...]:
    """The future moments of the case's deadlines, one for each, the earliest first."""
    coming = ((clock, clock.step, clock.next_at) for clock in clocks)
    return tuple(sorted(Moment(due_ms(at), clock.name, clock.run, step) for clock, step, at in coming if step and at))


def action_id(member: Member) -> str:
    return f"due-{member.case_id}-{member.clock}-{member.run}-{member.step.value}"


def request(member: Member) -> Action:
    """The timekeeper's request to the case's actions. The action id is that of the moment: appended twice, it counts once."""
    case_id, clock, run, step = member
    due = Due.trusted(deadline=clock, run=run, step=step)
    return Action.trusted(action_id=action_id(member), case_id=case_id, kind=ActionKind.DEADLINE_DUE, queue=QUEUE, due=due)
