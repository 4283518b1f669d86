"""What the parts of a case's decision are given (`CaseStep`), and what they give back: `CaseEffects` or a `Refusal`.

Invariant: a part changes nothing itself. `case.decide` alone makes the next revision of it, with its clocks and who is told.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from schemas.cases.case import Action, Case, CaseVerdict
from schemas.notices import Notification
from schemas.policy import Policy
from stream_processors.domain.deadlines.calendar import Calendar
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop


class CaseStep(NamedTuple):
    """One action on the case as it stands. `actor`: `officer:...`, `institution:...`, `stage:...`; `elsewhere`: how often what
    the action asks for was ordered about the same account in other cases."""

    action: Action
    actor: str
    case: Case
    policy: Policy
    calendar: Calendar
    now: datetime
    elsewhere: int = 0


class CaseEffects(NamedTuple):
    """Fields of the case that are other now, and what comes of it. `follows` are requests about other cases; `left_queue` is the
    queue that the case is not in any more; `called_off` names clocks that have nothing to wait for any more."""

    changes: dict[str, Any]
    notices: tuple[Notification, ...] = ()
    starts: tuple[DeadlineStart, ...] = ()
    stops: tuple[DeadlineStop, ...] = ()
    follows: tuple[Action, ...] = ()
    verdict: CaseVerdict | None = None
    left_queue: str | None = None
    called_off: tuple[str, ...] = ()
