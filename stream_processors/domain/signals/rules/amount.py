"""amount: the amount at stake in this signal. Only yuan count; other currencies have no steps."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import amount_rule

RULE = amount_rule("amount", "amount_minor", lambda signal: (signal.amount_minor, signal.currency))
