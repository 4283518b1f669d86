"""new_domain: the site's domain was registered shortly before it was seen, as the sender gives in evidence."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import reason, within


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the shortest age that fits. A registration after the event is no evidence."""
    event = signal.event
    if event is None or event.domain_registered_at is None:
        return None
    age_s = (event.at - event.domain_registered_at).total_seconds()
    return None if age_s < 0 else reason("new_domain", within(rules.new_domain, int(age_s)), {"domain_age_s": int(age_s)})
