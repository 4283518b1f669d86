"""velocity: how often the worst of its suspects was seen in the window. Echoes (`derived_from`) are no sightings."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import count_rule

RULE = count_rule("velocity", "sightings", lambda features: features.sightings)
