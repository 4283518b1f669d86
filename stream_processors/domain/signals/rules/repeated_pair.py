"""repeated_pair: several transfers from the same payer to the same payee within the window.

Splitting a sum keeps each transfer under a bank's limit; a monthly rent is never within the window.
"""

from __future__ import annotations

from stream_processors.domain.signals.rules.steps import count_rule

RULE = count_rule("repeated_pair", "transfers", lambda features: features.same_pair)
