"""confirmed: an earlier case about one of its suspects was disposed as confirmed.

Of a transfer both suspects count, so whoever deals with a confirmed account scores, too.
"""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import counting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points for so many confirmed cases of the worst suspect."""
    cases = features.confirmed
    return reason("confirmed", counting(rules.confirmed, cases), {"cases": cases})
