"""kind: what sort of signal it is (Art. 21, 22)."""

from __future__ import annotations

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The kind's own points; none when the policy names none."""
    worth = rules.kind.get(signal.kind, 0)
    return Reason.trusted(rule="kind", points=worth, evidence={"kind": signal.kind.value}) if worth else None
