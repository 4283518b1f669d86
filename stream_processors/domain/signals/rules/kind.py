"""kind: the legal kind of the signal (Art. 17, 21, 22)."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import choice_rule

RULE = choice_rule("kind", lambda signal: signal.kind)
