"""repeat_victim: the victim was a victim in another event before. People who were deceived once are called again."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import count_rule

RULE = count_rule("repeat_victim", "events", lambda features: features.victim_events)
