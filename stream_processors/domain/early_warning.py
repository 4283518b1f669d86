"""Early warning (Art. 10): who is told when another institution's signal joins a case. Pure.

Invariants: nobody learns who reported; nobody is warned of their own report; a tip alone warns nobody; a change that
brings no further institution warns nobody.
"""

from __future__ import annotations

from collections.abc import Set

from schemas.cases import Case
from schemas.feedback import EarlyWarning
from schemas.signals import SignalKind
from stream_processors.domain.feedback import others
from stream_processors.domain.told import Told
from stream_processors.domain.trust import low

NOBODY: frozenset[str] = frozenset()
NO_KIND: frozenset[SignalKind] = frozenset()


def early_warning(
    before: Case | None,
    after: Case,
    *,
    holders: Set[str] = NOBODY,
    quiet: Set[SignalKind] = NO_KIND,
) -> tuple[Told, ...]:
    """Warns the institutions that reported the subject before, and those that hold it (`holders`: they keep the account or the
    number), when more others report it than before. For whoever joined there are as many others as before: it hears by
    feedback. A case of `quiet` kinds alone warns nobody: a lead of organized crime must not reach those whom it is about."""
    if quiet >= set(after.kinds):
        return ()
    known = set(before.institutions) if before is not None else set()
    return tuple(
        Told(one, "early_warning", after.case_id, _warning(after, one))
        for one in sorted(known | holders)
        if others(after, one) > others(before, one)
    )


def _warning(case: Case, recipient: str) -> EarlyWarning:
    own = dict.fromkeys(one.signal_id for one in case.signals if one.institution == recipient and not low(one))
    return EarlyWarning.trusted(
        case_id=case.case_id,
        subject=case.primary.token,
        subject_kind=case.primary.kind,
        kinds=tuple(SignalKind(one) for one in case.kinds),
        severity=case.severity,
        others=others(case, recipient),
        signals=tuple(own),
    )
