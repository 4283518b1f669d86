"""The engine of all transition tables, and what the tables share: who acts, and which clocks start and stop. Pure.

A table maps state and event to a `Transition`. The same table decides (`Table.apply`), tells people what is open to them
(`Table.allowed`), and gives the diagrams of the docs (domain/state_diagrams.py). Invariant: what a refusal lists as open is in
the table for that state, thing and role; a guard may still refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from schemas.deadlines import DeadlineName, Length
from stream_processors.domain.refusal import Refusal

Ends = Callable[[datetime, Length | DeadlineName], datetime]
"""Returns the end of a length, or of the policy's deadline of that name, from a start. Both depend on the calendar of the place,
so the caller who has the calendar passes this function in."""


NONE = "none"
"""The state of a record that does not exist yet."""


class ActorRole(StrEnum):
    """The part before the colon of an actor (`officer:zhang`). ORDER: another order's effect. UNIT and BODY are in no token: an
    officer who answers a letter for its unit; a unit and the coordination body in a record of oversight."""

    OFFICER = "officer"
    UNIT = "unit"
    BODY = "body"
    INSTITUTION = "institution"
    STAGE = "stage"
    ORDER = "order"


class Party(NamedTuple):
    role: str
    id: str


def party(actor: str) -> Party:
    """`institution:bank-001` -> its role and id. An unknown role has no permissions."""
    role, _, name = actor.partition(":")
    return Party(role, name)


class DeadlineStart(NamedTuple):
    """Run `name` for `about` (an order, dissuasion or institution; None: the case itself). `due_at` None: the policy's length of
    that name.

    A deadline that the policy does not have is not started.
    """

    name: str
    about: str | None
    due_at: datetime | None = None


class DeadlineStop(NamedTuple):
    """The duty of the deadline is done. `called_off`: it was cancelled, and nobody is late with it."""

    name: str
    about: str | None
    called_off: bool = False


def always(_: object) -> bool:
    return True


def allow(_: object) -> None:
    """The guard of a transition that needs none."""


ThingT = TypeVar("ThingT")
StepT = TypeVar("StepT")
OutcomeT = TypeVar("OutcomeT")
DetailT = TypeVar("DetailT")
ANYBODY: frozenset[str] = frozenset()


class Transition(NamedTuple, Generic[ThingT, StepT, OutcomeT, DetailT]):
    """One row of a table. It concerns a `ThingT`; guard and effect get a `StepT`; the result is an `OutcomeT`.

    `to`: its possible states. `roles`: the permitted actors (ANYBODY: unchecked). `guard`: the reason to refuse, or None. `when`:
    the things for which the row exists. `is_offered`: False for a repeated or late event, which is accepted without effect.
    `detail`: further data for the module of the table (for example a template).
    """

    to: tuple[str, ...]
    effect: Callable[[StepT], OutcomeT | Refusal]
    roles: frozenset[str] = ANYBODY
    guard: Callable[[StepT], Refusal | None] = allow
    when: Callable[[ThingT], bool] = always
    is_offered: bool = True
    detail: DetailT = None  # type: ignore[assignment]

    def is_for(self, thing: ThingT, roles: Set[str] | None) -> bool:
        """Whether it exists for the thing, and for one of the roles (None: for anybody)."""
        return (roles is None or not self.roles or not self.roles.isdisjoint(roles)) and self.when(thing)


class Table(Mapping[tuple[str, str], Transition[ThingT, StepT, OutcomeT, DetailT]]):
    """State and event -> transition, in the order in which people read the allowed actions.

    `noun` names the thing in refusals. `problems`: the problem slug of a state in which an event has no row, if not
    `transition-not-allowed`; `forbidden`: that of an event for others.
    """

    def __init__(
        self,
        noun: str,
        rows: Mapping[tuple[str, str], Transition[ThingT, StepT, OutcomeT, DetailT]],
        *,
        problems: Mapping[str, str] | None = None,
        forbidden: str = "transition-not-allowed",
    ) -> None:
        self.noun = noun
        self._rows = dict(rows)
        self._problems = dict(problems or {})
        self._forbidden = forbidden

    def __getitem__(self, key: tuple[str, str]) -> Transition[ThingT, StepT, OutcomeT, DetailT]:
        return self._rows[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def allowed(self, state: str, thing: ThingT, roles: Set[str] | None = None) -> tuple[str, ...]:
        """The events allowed in the state, for the thing and for any of the roles (None: for all of them)."""
        return tuple(
            str(event) for (at, event), row in self._rows.items() if at == state and row.is_offered and row.is_for(thing, roles)
        )

    def apply(self, state: str, event: str, step: StepT, *, thing: ThingT, roles: Set[str] | None = None) -> OutcomeT | Refusal:
        """The outcome of the event. A refusal gives the reason, and the allowed events."""
        row = self._rows.get((state, event))
        if row is None or not row.is_for(thing, roles):
            moves = self.allowed(state, thing, roles)
            problem = self._problems.get(state, "transition-not-allowed") if row is None else self._forbidden
            return Refusal(problem, f"the {self.noun} is {state}; actions allowed now: {', '.join(moves) or 'none'}", moves)
        outcome = row.guard(step) or row.effect(step)
        return (
            outcome._replace(allowed_transitions=self.allowed(state, thing, roles)) if isinstance(outcome, Refusal) else outcome
        )


SKEW = timedelta(minutes=5)
"""Tolerated error of a party's own clock. A reported time within it is moved to the nearest possible time."""


def done_between(claimed_at: datetime | None, earliest: datetime | None, now: datetime) -> datetime | None:
    """The time that a party reports, if between `earliest` and `now`; None: it is impossible."""
    if claimed_at is None:
        return now
    if claimed_at > now + SKEW or (earliest is not None and claimed_at < earliest - SKEW):
        return None
    return min(now, max(claimed_at, earliest) if earliest is not None else claimed_at)


def iso(moment: datetime | None) -> str:
    """RFC 3339 in whole seconds, as people read it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else "an unknown time"
