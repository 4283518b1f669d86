"""The state of a case: the states of its table, and the phase that people see.

A claim with an expired lease is `lease_expired`: its holder may continue, and anybody else may claim the case.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from schemas.cases.case import Case, CaseStatus
from schemas.orders.order import LIVE

NONE, LAPSED = "none", "lease_expired"
SLEEPING = frozenset({CaseStatus.DISPOSED, CaseStatus.CLOSED, CaseStatus.RETRACTED})
"""States in which a new signal reopens the case."""


class Phase(StrEnum):
    """The phases of a case in the words of the law: received, handled, ordered, disposed of, closed with feedback."""

    OPENED = "opened"
    ACKNOWLEDGED = "acknowledged"
    IN_HANDLING = "in_handling"
    ORDERED = "ordered"
    DISPOSED = "disposed"
    CLOSED = "closed"
    RETRACTED = "retracted"
    MERGED = "merged"


_ENDED = {
    CaseStatus.DISPOSED: Phase.DISPOSED,
    CaseStatus.CLOSED: Phase.CLOSED,
    CaseStatus.RETRACTED: Phase.RETRACTED,
    CaseStatus.MERGED: Phase.MERGED,
}


def state_of(case: Case | None, now: datetime) -> str:
    """none, open, claimed, lapsed, disposed, closed, retracted or merged."""
    if case is None:
        return NONE
    if case.status is CaseStatus.CLAIMED and case.lease_until is not None and case.lease_until <= now:
        return LAPSED
    return case.status


def phase_of(case: Case, now: datetime) -> Phase:
    """Derived, never stored."""
    if (ended := _ENDED.get(case.status)) is not None:
        return ended
    if any(order.state in LIVE for order in case.orders):
        return Phase.ORDERED
    if state_of(case, now) == CaseStatus.CLAIMED:
        return Phase.IN_HANDLING
    return Phase.ACKNOWLEDGED if case.acknowledged_at is not None else Phase.OPENED
