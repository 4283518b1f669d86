"""confirmed: an earlier case about one of its suspects was disposed of as confirmed.

For a transfer both suspects count, so a party that deals with a confirmed account scores, too.
"""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import count_rule

RULE = count_rule("confirmed", "cases", lambda features: features.confirmed)
