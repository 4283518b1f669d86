"""freshness: the age of the event when it is reported. Fresh money can still be stopped.

A future event is fresh.
"""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import span_rule

RULE = span_rule("freshness", "age_s", lambda _, features: max(0, features.age_s))
