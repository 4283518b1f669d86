"""stage: how far the scam has come with the victim. While a payment is pending it can still be stopped."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import choice_rule

RULE = choice_rule("stage", lambda signal: signal.stage)
