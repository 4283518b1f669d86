"""confirmed: an earlier case about one of its suspects was disposed as confirmed.

Of a transfer both suspects count, so whoever deals with a confirmed account scores, too.
"""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import count_rule

RULE = count_rule("confirmed", "cases", lambda features: features.confirmed)
