"""The clocks of a case after an action: those that it stops, calls off and starts. Pure.

Invariant: an action whose clock finds no place is refused, for a duty without its clock would be forgotten; only a join is never
refused for it, and what joins start leaves room for what officers order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from schemas.clocks import Clock, ClockState
from schemas.policy import Policy
from stream_processors.domain import clocks
from stream_processors.domain.calendars import Calendar
from stream_processors.domain.loop import ClockStart, ClockStop
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.scorecards.changes import INSTITUTION_DUTIES, UNIT_DUTIES

ACKNOWLEDGE, DISPOSE = "acknowledge", "dispose"
TO_ACKNOWLEDGE = (ClockStart(ACKNOWLEDGE, None),)
"""What runs from the moment a unit has the case in its queue."""
OF_INSTITUTIONS = tuple(INSTITUTION_DUTIES)
WHILE_OPEN = (ACKNOWLEDGE, DISPOSE, *OF_INSTITUTIONS)
"""Nothing of it is owed any more in a case without signals."""
JOINS_LEAVE = clocks.MAX_CLOCKS // 2
_RUNNING = frozenset({ClockState.OPEN, ClockState.FIRED})


def after(
    before: tuple[Clock, ...],
    *,
    starts: Iterable[ClockStart] = (),
    stops: Iterable[ClockStop] = (),
    called_off: Iterable[str] = (),
    severity: str,
    queue: str,
    policy: Policy,
    calendar: Calendar,
    now: datetime,
    must: bool = True,
) -> tuple[Clock, ...] | Refusal:
    """The case's clocks. `severity` and `queue` are the case's after the action; `must`: whether it is refused when one of its
    clocks finds no place."""
    found = before
    for stop in stops:
        found = clocks.stop(found, name=stop.name, about=stop.about, now=now).clocks
    for name in called_off:
        found = clocks.cancel(found, now=now, name=name)
    for one in starts:
        if not must and sum(clock.state in _RUNNING for clock in found) >= JOINS_LEAVE:
            break
        started = clocks.start(
            found,
            name=one.name,
            rules=policy.clocks,
            calendar=calendar,
            now=now,
            until=one.due_at,
            about=one.about,
            severity=severity,
            unit=queue if one.name in UNIT_DUTIES else None,
        )
        if started.refusal is not None and must:
            return started.refusal
        found = started.clocks
    return found
