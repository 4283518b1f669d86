"""Who may call a route: one table of roles, and the check of a queue by its name."""

from __future__ import annotations

from gateway.http.caller import Caller, Role
from gateway.http.problems import Problem
from schemas.scorecards import CardKind

EVERYBODY: frozenset[Role] = frozenset()
OFFICERS = frozenset({Role.OFFICER})
INSTITUTIONS = frozenset({Role.INSTITUTION})
BOTH = OFFICERS | INSTITUTIONS
COORDINATORS = frozenset({Role.COORDINATOR})
COORDINATION = COORDINATORS | OFFICERS
"""Who takes part in supervision: the coordination body, and the officers of member units."""
OPERATORS = frozenset({Role.OPERATOR})
CARD_READERS = {CardKind.INSTITUTION: frozenset({Role.REGULATOR}) | INSTITUTIONS, CardKind.UNIT: COORDINATION}


def own_queue(name: str, caller: Caller) -> str:
    """Returns the queue if it is one of the caller's; 403 if not."""
    if not caller.may_work_on(name):
        raise Problem("forbidden", "your token does not cover this queue")
    return name
