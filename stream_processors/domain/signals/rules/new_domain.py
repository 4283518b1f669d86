"""new_domain: the site's domain was registered shortly before it was seen, as the sender reports in evidence."""

from __future__ import annotations

from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import span_rule


def measure_age(signal: SubmittedSignal, features: Features) -> int | None:
    """Seconds from the registration to the event. A registration after the event is no evidence."""
    event = signal.event
    if event is None or event.domain_registered_at is None:
        return None
    age_s = (event.at - event.domain_registered_at).total_seconds()
    return None if age_s < 0 else int(age_s)


RULE = span_rule("new_domain", "domain_age_s", measure_age)
