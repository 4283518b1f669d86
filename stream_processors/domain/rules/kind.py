"""kind: what sort of signal it is (Art. 17, 21, 22)."""

from __future__ import annotations

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features
from stream_processors.domain.rules.steps import reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The kind's own points; none when the policy names none."""
    return reason("kind", rules.kind.get(signal.kind, 0), {"kind": signal.kind.value})
