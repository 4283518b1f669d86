"""Feedback to each sender, for each signal: the outcome in its case. Pure.

It is a function of the case and the actions; a comparison of two cases notifies of the differences only. Invariants: a sender
learns how many others reported, never who; nothing is sent twice without a change; tips have no recipient; nobody learns how many
leads of organized crime there are, and a lead's sender only learns the outcome of its case (leads.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from schemas.cases.case import Case, CaseStatus, JoinedSignal
from schemas.common import MOST_AMOUNT_MINOR
from schemas.feedback import MOST_ACTS, Feedback
from schemas.notices import NotificationKind
from stream_processors.domain.notifications.notification import NotificationDraft
from stream_processors.domain.signals.leads import is_lead, outcome_of_lead, sent_leads_alone, visible_reporters, visible_signals
from stream_processors.domain.signals.trust import low


class Handling(NamedTuple):
    """What else is known of a case: `seen`: ids of its signals that an officer has had in hand (`seen_of` carries it on);
    `actions_taken`: sorts of orders executed and measures taken; `prevented_loss_minor`: what was stopped, by currency."""

    seen: frozenset[str] = frozenset()
    acts: frozenset[str] = frozenset()
    saved_minor: Mapping[str, int] = {}


NOTHING = Handling()


def seen_of(previous: Iterable[str], case: Case) -> frozenset[str]:
    """The signals of the case that an officer worked on: earlier ones, and all while somebody holds the case."""
    seen_ids = set(previous)
    held = case.holder is not None
    return frozenset(signal.signal_id for signal in case.signals if held or signal.signal_id in seen_ids)


def others(case: Case | None, institution: str) -> int:
    """The number of other institutions that report the case's subject now, without leads of organized crime; zero for a sender of
    such leads only."""
    if case is None or sent_leads_alone(case, institution):
        return 0
    return len(visible_reporters(case) - {institution})


def of_signal(case: Case, signal: JoinedSignal, handling: Handling = NOTHING) -> Feedback:
    """The current feedback for a signal that the case lists."""
    if is_lead(signal.kind):
        return of_lead(case, signal.signal_id, signal.accepted_at)
    judged = case.disposed_at is not None and signal.accepted_at <= case.disposed_at
    return _make_feedback(
        case,
        signal.institution,
        handling,
        signal_id=signal.signal_id,
        reviewed=case.status is CaseStatus.DISPOSED or case.holder is not None or signal.signal_id in handling.seen,
        outcome=case.disposition if judged or case.status is CaseStatus.DISPOSED else None,
    )


def of_institution(case: Case, institution: str, handling: Handling = NOTHING) -> Feedback:
    """The feedback for an institution's signals that the case no longer lists. They are its oldest, so any officer saw them."""
    if sent_leads_alone(case, institution):
        return of_lead(case)
    is_seen = bool(case.applied) or case.holder is not None
    return _make_feedback(case, institution, handling, signal_id=None, reviewed=is_seen, outcome=case.disposition)


def of_lead(case: Case, signal_id: str | None = None, accepted_at: datetime | None = None) -> Feedback:
    """For a lead only the outcome of its case: otherwise a made-up report could reveal leads."""
    return Feedback.trusted(case_id=case.case_id, signal_id=signal_id, outcome=outcome_of_lead(case, accepted_at))


def _make_feedback(case: Case, institution: str, handling: Handling, **own: object) -> Feedback:
    return Feedback.trusted(
        case_id=case.case_id,
        corroborated_by=others(case, institution),
        actions_taken=tuple(sorted(handling.acts)[:MOST_ACTS]),
        prevented_loss_minor={name: min(n, MOST_AMOUNT_MINOR) for name, n in sorted(handling.saved_minor.items()) if n},
        **own,
    )


def feedback(
    before: Case | None, after: Case, *, was: Handling = NOTHING, handling: Handling = NOTHING
) -> tuple[NotificationDraft, ...]:
    """The feedback of senders when the case `before` has become `after`: one for each listed signal, and one for each institution
    with unlisted ones, if there is news. For leads one for each institution: the number of listed ones depends on others' leads.
    """
    current = [(signal.institution, of_signal(after, signal, handling)) for signal in _list_signals(after)]
    current += [
        (institution, of_institution(after, institution, handling))
        for institution in after.institutions
        if sent_leads_alone(after, institution) or _has_more(after, institution)
    ]
    old = _previous_feedback(before, after, was)
    return tuple(
        NotificationDraft(institution, NotificationKind.FEEDBACK, "feedback", payload=now)
        for institution, now in current
        if now != old.get((institution, now.signal_id), _blank_feedback(now))
    )


def _previous_feedback(before: Case | None, after: Case, was: Handling) -> dict[tuple[str, str | None], Feedback]:
    """The previous feedback. An institution whose signal just left the list knows the feedback of that signal."""
    if before is None:
        return {}
    previous: dict[tuple[str, str | None], Feedback] = {
        (signal.institution, signal.signal_id): of_signal(before, signal, was) for signal in _list_signals(before)
    }
    previous |= {(institution, None): of_institution(before, institution, was) for institution in before.institutions}
    return previous


def _list_signals(case: Case) -> Iterable[JoinedSignal]:
    """The listed signals of institutions, each once: of two versions of one the newer. Leads are omitted."""
    newest: dict[str, JoinedSignal] = {}
    for signal in visible_signals(case):
        if signal.signal_id not in newest or newest[signal.signal_id].version < signal.version:
            newest[signal.signal_id] = signal
    return newest.values()


def _has_more(case: Case, institution: str) -> bool:
    """Whether the case has unlisted signals of the institution."""
    listed = sum(signal.institution == institution and not low(signal) for signal in case.signals)
    return listed < case.tally.institutions.get(institution, 0)


def _blank_feedback(now: Feedback) -> Feedback:
    """The knowledge of a sender without feedback: its signal is in a case."""
    return Feedback.trusted(case_id=now.case_id, signal_id=now.signal_id)
