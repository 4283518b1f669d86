"""Derived views of a case: its phase, the allowed actions, the outcome for a sender. The read side.

Invariant: all of it follows from the case alone, by the same pure core that decides its actions; nothing here changes anything.
"""

from __future__ import annotations

from datetime import datetime

from schemas.appeals import Appeal
from schemas.cases.case import Case
from schemas.dissuasion import Dissuasion
from schemas.feedback import Feedback
from schemas.orders.order import Order
from stream_processors.domain import appeals as appeal
from stream_processors.domain import dissuasion
from stream_processors.domain.cases import decide as cases
from stream_processors.domain.cases.decide import phase_of
from stream_processors.domain.cases.notifications import handling
from stream_processors.domain.cases.orders import concerned
from stream_processors.domain.measures import is_above_reported
from stream_processors.domain.notifications import feedback
from stream_processors.domain.notifications.feedback import others
from stream_processors.domain.orders import order
from stream_processors.domain.orders.order import unit_of
from stream_processors.domain.signals.leads import has_leads, sent_leads_alone, visible_signals
from stream_processors.domain.signals.routing import twin_id
from stream_processors.domain.signals.trust import low
from stream_processors.domain.state_machine import ActorRole

__all__ = [
    "MERGES_FOLLOWED",
    "appeal_moves",
    "case_moves",
    "concerns",
    "dissuasion_moves",
    "feedback_of",
    "has_leads",
    "is_above_reported",
    "order_moves",
    "others",
    "phase_of",
    "sent_leads_alone",
    "twin_id",
    "unit_of",
    "visible_signals",
]

MERGES_FOLLOWED = 8
"""Merges that a lookup of a case follows at most."""


def case_moves(case: Case, now: datetime) -> tuple[str, ...]:
    """The officers' actions that the state of the case allows; a guard may still refuse one."""
    return cases.list_allowed(case, now)


def order_moves(viewed_order: Order, role: ActorRole) -> tuple[str, ...]:
    return order.TABLE.allowed(viewed_order.state, viewed_order, {role})


def dissuasion_moves(viewed: Dissuasion, role: ActorRole) -> tuple[str, ...]:
    return dissuasion.TABLE.allowed(viewed.state, viewed, dissuasion.roles_of(role, reaches=True))


def appeal_moves(viewed_appeal: Appeal, case: Case, party: str, officer: str | None) -> tuple[str, ...]:
    return appeal.list_allowed(party, officer, viewed_appeal, appeal.Around(case.queue))


def concerns(case: Case, institution: str) -> bool:
    """Whether the institution may know of the case: the core's answer, and a measure of its own or an appeal that it filed, even
    if nothing else is left of it there."""
    return (
        institution in concerned(case)
        or any(signal.institution == institution and not low(signal) for signal in case.signals)
        or any(measure.institution == institution for measure in case.measures)
        or any(institution in (filed.filed_through, *filed.pending_parties, *filed.confirmed_parties) for filed in case.appeals)
    )


def feedback_of(case: Case, signal_id: str, institution: str, accepted_at: datetime | None = None) -> Feedback:
    """The outcome of a signal in its case: its own while the case lists it, afterwards that of its sender's oldest. `accepted_at`
    is the receipt's: for a lead of organized crime nothing follows from the list of the case."""
    if sent_leads_alone(case, institution):
        return feedback.of_lead(case, signal_id, accepted_at)
    done = handling(case)
    listed = [signal for signal in case.signals if signal.signal_id == signal_id and signal.institution == institution]
    if listed:
        return feedback.of_signal(case, max(listed, key=lambda signal: signal.version), done)
    return feedback.of_institution(case, institution, done).model_copy(update={"signal_id": signal_id})
