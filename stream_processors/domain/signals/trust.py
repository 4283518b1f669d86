"""Effect of a signal of low trust (a tip of the public, Art. 48): a person reviews it; it joins a case. It never corroborates.

Invariant: a tip changes neither the score of another signal nor the institutions and amounts of a case, and a tip alone stays
below the case threshold (the policy is checked for that).
"""

from __future__ import annotations

from typing import Protocol

from schemas.policy import Policy, RouteRule
from schemas.signals.assessed import Reason
from schemas.signals.hubs import MEASURED
from schemas.signals.subjects import Subject

LOW_KEPT = 5
"""Signals of low trust that a case keeps at most: a flood of tips must not displace the signals of institutions."""


class Trusted(Protocol):
    """The members that this module reads."""

    @property
    def trust(self) -> str | None: ...


class _Sent(Trusted, Protocol):
    @property
    def institution(self) -> str: ...


class _Named(Trusted, Protocol):
    @property
    def subjects(self) -> tuple[Subject, ...]: ...


def low(signal: Trusted) -> bool:
    return signal.trust == "low"


def sighted(signal: _Named) -> tuple[Subject, ...]:
    """The suspects sighted by this signal, for the features of others: none of a signal of low trust, no unmatched value, no
    listed hub. A measured hub counts, because it stays one while it is sighted so."""
    if low(signal):
        return ()
    suspects = (subject for subject in signal.subjects if subject.role == "suspect" and subject.unmatched is None)
    return tuple(suspect for suspect in suspects if suspect.hub in (None, MEASURED))


def corroborating(signal: _Sent) -> tuple[str, ...]:
    """The institution, if it corroborates others."""
    return () if low(signal) else (signal.institution,)


def weigh(signal: Trusted, points: int, reasons: tuple[Reason, ...], policy: Policy) -> tuple[int, tuple[Reason, ...]]:
    """Points and reasons as the trust permits; the reasons still add up to the points."""
    rule = policy.low_trust
    if not low(signal):
        return points, reasons
    worth = min(rule.max_points, points * rule.percent // 100)
    if worth == points:
        return points, reasons
    return worth, (*reasons, Reason.trusted(rule="trust", points=worth - points, evidence={"trust": "low"}))


def opens(signal: Trusted, rule: RouteRule, policy: Policy) -> bool:
    """Whether a signal of low trust goes to this agency whatever its points: somebody must look at a tip."""
    return low(signal) and policy.low_trust.opens_cases and rule.from_score is None
