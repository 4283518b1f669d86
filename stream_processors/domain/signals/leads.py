"""Leads of organized crime (Art. 17) are separate: they change nothing that another party can read. Pure.

A lead has sets and cases of its own: `match_name` is the name under which its subjects are matched. So it never changes the
score, the routes or the case of a signal of another kind, and leads corroborate each other for officers only. The sender's view
of a lead follows from that lead alone (`sender_points`). An institution's view of a case counts no lead (`visible_reporters`).
Invariant: without leads, every response to an institution that sent none is the same, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from datetime import datetime

from schemas.cases.case import Case, CaseStatus, JoinedSignal
from schemas.dispositions import Disposition
from schemas.signals.assessed import Reason
from schemas.signals.explanations import is_own
from schemas.signals.submission import SignalKind
from stream_processors.domain.signals.trust import low

QUIET = frozenset({SignalKind.ORGANIZED_CRIME})
"""A lead of organized crime must not reach the persons whom it concerns (Art. 17)."""
_APART = "~lead"


def is_lead(kind: SignalKind | str | None) -> bool:
    return kind in QUIET


def match_name(token: str, kind: SignalKind | str | None) -> str:
    """The name under which a subject of a signal of this kind is sighted, counted, confirmed, and has its case."""
    return token + _APART if is_lead(kind) else token


def sender_points(reasons: Iterable[Reason]) -> int:
    """The points of the reasons that the sender may read, without those from others' signals."""
    return max(0, min(100, sum(reason.points for reason in reasons if is_own(reason.rule))))


def has_leads(case: Case) -> bool:
    """Whether leads are, or were, in the case; with others only in a case from before they were separated."""
    return case.leads_only or not QUIET.isdisjoint(case.kinds)


def has_leads_alone(case: Case) -> bool:
    return case.leads_only or (bool(case.kinds) and set(case.kinds) <= QUIET)


def visible_kinds(case: Case) -> tuple[SignalKind, ...]:
    return tuple(SignalKind(kind) for kind in case.kinds if kind not in QUIET)


def visible_signals(case: Case) -> tuple[JoinedSignal, ...]:
    """The listed signals of institutions that are not leads."""
    if has_leads_alone(case):
        return ()
    return tuple(signal for signal in case.signals if not low(signal) and signal.kind not in QUIET)


def visible_reporters(case: Case | None) -> Set[str]:
    """The institutions whose reports others may learn of; for a case with both, as far as it lists them."""
    if case is None or has_leads_alone(case):
        return frozenset()
    if not has_leads(case):
        return frozenset(case.institutions)
    return frozenset(signal.institution for signal in visible_signals(case))


def sent_leads_alone(case: Case, institution: str) -> bool:
    """Whether the institution knows of the case only by its leads, if by any report."""
    if has_leads_alone(case):
        return True
    return has_leads(case) and institution in case.institutions and institution not in visible_reporters(case)


def outcome_of_lead(case: Case, accepted_at: datetime | None) -> Disposition | None:
    """The outcome of the case for a lead that was accepted then (None: for its sender's leads as a whole)."""
    if case.status is CaseStatus.DISPOSED or accepted_at is None:
        return case.disposition
    return case.disposition if case.disposed_at is not None and accepted_at <= case.disposed_at else None
