"""Early warning (Art. 10): the recipients when another institution's signal joins a case. Pure.

Invariants: nobody learns who reported; nobody is warned of their own report; a tip or a lead of organized crime warns nobody; a
change without a further institution warns nobody.
"""

from __future__ import annotations

from collections.abc import Set

from schemas.cases.case import Case
from schemas.feedback import EarlyWarning
from schemas.notices import NotificationKind
from stream_processors.domain.notifications.feedback import others
from stream_processors.domain.notifications.notification import NotificationDraft
from stream_processors.domain.signals.leads import has_leads, visible_kinds, visible_reporters, visible_signals

NOBODY: frozenset[str] = frozenset()


def early_warning(before: Case | None, after: Case, *, holders: Set[str] = NOBODY) -> tuple[NotificationDraft, ...]:
    """Warns the institutions that reported the subject before, and those that hold it (`holders`: they keep the account or the
    number), if more others report it than before. For the joining institution the number of others is unchanged: it gets
    feedback. A lead of organized crime warns nobody, because it must not reach the persons it concerns."""
    reporters = visible_reporters(before)
    return tuple(
        NotificationDraft(institution, NotificationKind.EARLY_WARNING, "early_warning", payload=_make_warning(after, institution))
        for institution in sorted(reporters | holders)
        if others(after, institution) > others(before, institution)
    )


def _make_warning(case: Case, recipient: str) -> EarlyWarning:
    signals = visible_signals(case)
    own = dict.fromkeys(signal.signal_id for signal in signals if signal.institution == recipient)
    worst = max(signals, key=lambda signal: signal.score, default=None)
    return EarlyWarning.trusted(
        case_id=case.case_id,
        subject=case.primary_subject.token,
        subject_kind=case.primary_subject.kind,
        kinds=visible_kinds(case),
        severity=worst.severity if worst is not None and has_leads(case) else case.severity,
        other_institutions=others(case, recipient),
        signals=tuple(own),
    )
