"""kind: what sort of signal it is (Art. 17, 21, 22)."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The kind's own points; none when the policy names none."""
    return reason("kind", rules.kind.get(signal.kind, 0), {"kind": signal.kind.value})
