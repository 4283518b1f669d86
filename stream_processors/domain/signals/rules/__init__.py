"""The rules, one small file each, which declares itself: `RULE = count_rule("velocity", ...)`.

The policy's section of points (schemas/policy.py: Rules) names them; its order is the order of reasons. docs/reference/rules.md
has a line on each; schemas/signals/explanations.py the sentences that people read.
"""

from __future__ import annotations

from importlib import import_module

from schemas.policy import Rules
from stream_processors.domain.signals.rules.steps import GivePoints, Rule


def _collect_rules() -> dict[str, GivePoints]:
    rules: list[Rule] = [import_module(f"{__name__}.{name}").RULE for name in Rules.model_fields]
    return {rule.name: rule.give_points for rule in rules}


RULES = _collect_rules()
"""Rule name -> the points that it gives."""
