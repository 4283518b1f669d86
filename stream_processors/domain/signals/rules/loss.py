"""loss: the amount that the victim has lost already. Only yuan count."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import amount_rule

RULE = amount_rule("loss", "loss_minor", lambda signal: (signal.loss_minor or None, signal.loss_currency))
