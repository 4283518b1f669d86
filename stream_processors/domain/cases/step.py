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
    """One action on the current case. `actor`: `officer:...`, `institution:...`, `stage:...`; `elsewhere`: how often the
    requested order was given about the same account in other cases."""

    action: Action
    actor: str
    case: Case
    policy: Policy
    calendar: Calendar
    now: datetime
    elsewhere: int = 0


class CaseEffects(NamedTuple):
    """Changed fields of the case, and the consequences. `follows` are requests to other cases; `left_queue` is the queue that the
    case left; `called_off` names deadlines without a purpose."""

    changes: dict[str, Any]
    notices: tuple[Notification, ...] = ()
    starts: tuple[DeadlineStart, ...] = ()
    stops: tuple[DeadlineStop, ...] = ()
    follows: tuple[Action, ...] = ()
    verdict: CaseVerdict | None = None
    left_queue: str | None = None
    called_off: tuple[str, ...] = ()
