"""institutions: how many institutions saw the same suspect in the window (corroboration). Derived signals do not count."""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import count_rule

RULE = count_rule("institutions", "institutions", lambda features: features.institutions)
