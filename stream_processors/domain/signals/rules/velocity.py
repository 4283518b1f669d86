"""velocity: how often the worst of its suspects was seen in the window. Derived signals (`derived_from`) do not count."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import count_rule

RULE = count_rule("velocity", "sightings", lambda features: features.sightings)
