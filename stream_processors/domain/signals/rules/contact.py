"""contact: a call or message to a victim shortly before money of the same person moves (a victim at risk)."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import span_rule

RULE = span_rule("contact", "gap_s", lambda _, features: features.contact_gap_s)
