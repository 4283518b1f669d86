"""pass_through: nearly the same amount comes in and leaves within a short time (a mule or transit account)."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import span_rule

RULE = span_rule("pass_through", "held_s", lambda _, features: features.held_s)
