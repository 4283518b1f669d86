"""fan_in: many different payers to a suspect payee within the window (a collecting account)."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import count_rule

RULE = count_rule("fan_in", "payers", lambda features: features.fan_in)
