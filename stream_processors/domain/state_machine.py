"""What the tables of the loop share: who acts, which clocks start and stop, and how a refusal tells what is open.

A table is state x event -> move. A move says who may make it, for which things it is there at all, and to which states it
leads; its guard may refuse with a sentence. Invariant: what a refusal lists as open is in the table for that state and party.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from schemas.deadlines import ClockName, Length

Ends = Callable[[datetime, Length | ClockName], datetime]
"""When a length that starts then is over, or the policy's clock of that name. Both need the place's calendar, so whoever has it
brings this along."""


class Role(StrEnum):
    """The part before the colon of an actor (`officer:zhang`). ORDER: another order's effect. UNIT is in no token: an
    officer who answers a letter for the unit that it went to."""

    OFFICER = "officer"
    UNIT = "unit"
    INSTITUTION = "institution"
    STAGE = "stage"
    ORDER = "order"


class Party(NamedTuple):
    role: str
    id: str


def party(actor: str) -> Party:
    """`institution:bank-001` -> its role and id. An unknown role is nobody's."""
    role, _, name = actor.partition(":")
    return Party(role, name)


class ClockStart(NamedTuple):
    """Run `name` for `about` (an order, task or institution; None: the case itself). `due_at` None: as long as the policy's clock
    of that name says.

    A clock that the policy does not have is not started.
    """

    name: str
    about: str | None
    due_at: datetime | None = None


class ClockStop(NamedTuple):
    """What the clock was for is done. `called_off`: it has not to be done any more; nobody was late with it then."""

    name: str
    about: str | None
    called_off: bool = False


class AnyMove(Protocol):
    """What a table's rows have in common."""

    @property
    def by(self) -> frozenset[Role]: ...

    @property
    def to(self) -> tuple[Any, ...]: ...

    @property
    def when(self) -> Callable[[Any], bool]: ...


def open_moves(table: Mapping[tuple[str, Any], AnyMove], state: str, thing: object, role: str | None = None) -> tuple[str, ...]:
    """The events that the table has for this state and thing, of one role (None: of all), in the table's order."""
    return tuple(
        str(event)
        for (at, event), move in table.items()
        if at == state and (role is None or role in move.by) and move.when(thing)
    )


def always(_: object) -> bool:
    return True


def listed(moves: tuple[str, ...]) -> str:
    return "moves open now: " + (", ".join(moves) or "none")


SKEW = timedelta(minutes=5)
"""So far a party's own clock may be off; what it says is then moved to where it can have been."""


def done_between(claimed_at: datetime | None, earliest: datetime | None, now: datetime) -> datetime | None:
    """When something was done by a party's own word, between `earliest` and `now`; None: it cannot have been then."""
    if claimed_at is None:
        return now
    if claimed_at > now + SKEW or (earliest is not None and claimed_at < earliest - SKEW):
        return None
    return min(now, max(claimed_at, earliest) if earliest is not None else claimed_at)


def iso(moment: datetime | None) -> str:
    """RFC 3339 in whole seconds, as people read it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else "an unknown time"
