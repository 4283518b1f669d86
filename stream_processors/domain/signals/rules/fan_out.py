"""fan_out: a suspect payer to many different payees within the window (a distributing account)."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import count_rule

RULE = count_rule("fan_out", "payees", lambda features: features.fan_out)
