"""The rules, one small file each: `points(signal, features, rules) -> Reason | None`. Order is the order of reasons.

docs/reference/rules.md has a line on each; schemas/signals/explanations.py the sentences that people read.
"""

from __future__ import annotations

from collections.abc import Callable

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules import (
    amount,
    confirmed,
    contact,
    fan_in,
    fan_out,
    freshness,
    institutions,
    kind,
    loss,
    new_domain,
    pass_through,
    repeat_victim,
    repeated_pair,
    stage,
    velocity,
)

Rule = Callable[[SubmittedSignal, Features, Rules], Reason | None]

RULES: dict[str, Rule] = {
    "kind": kind.points,
    "stage": stage.points,
    "amount": amount.points,
    "loss": loss.points,
    "freshness": freshness.points,
    "velocity": velocity.points,
    "institutions": institutions.points,
    "confirmed": confirmed.points,
    "repeat_victim": repeat_victim.points,
    "contact": contact.points,
    "repeated_pair": repeated_pair.points,
    "fan_in": fan_in.points,
    "fan_out": fan_out.points,
    "pass_through": pass_through.points,
    "new_domain": new_domain.points,
}
"""Rule name -> rule."""
