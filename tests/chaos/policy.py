"""The policy of a chaos run: the shipped one with its times in seconds, so that clocks really fire while things break.

Invariant: every moment comes within `SPAN_S` of what started its clock, or so late that no run lives to see it; nothing else of
the shipped policy differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

SPAN_S = 9
"""The longest of the short clocks, its escalation included."""
LENGTHS_S = {"warn": 3, "report": 4, "acknowledge": 3, "dissuade": 4, "order_answer": 4, "dispose": 6, "order_validity": 8}
SLOW = frozenset({"quick_freeze", "suspicious_report", "return_notice", "answer_letter", "written_notice", "appeal"})
"""These keep the lengths that they have: what is never due in a run must never fire in it."""
ESCALATED = frozenset({"acknowledge", "dispose", "order_answer"})
"""Of the others nobody but whoever has to act is told: most of a run's changes would be escalations."""
USUAL_S, STOPPED_S = 5, 8
ANSWER_S = {"stop_payment": 4, "freeze": 5, "release": 5, "suspend_number": 5}
LEASES = {"default_s": 10, "max_s": 20}


def write(shipped: Path, to: Path) -> Path:
    """Writes the policy of the run; the path."""
    policy = yaml.safe_load(shipped.read_text("utf-8"))
    for rule in policy["deadlines"]["rules"]:
        if rule["name"] not in SLOW:
            _shorten(rule)
    kinds = policy["orders"]["kinds"]
    kinds["stop_payment"]["length"] = {"seconds": STOPPED_S}
    for kind, seconds in ANSWER_S.items():
        kinds[kind]["answer_within"] = {"seconds": seconds}
    policy["leases"] = LEASES
    to.write_text(yaml.safe_dump(policy, allow_unicode=True), "utf-8")
    return to


def _shorten(rule: dict[str, Any]) -> None:
    length_s = STOPPED_S if rule["name"] == "emergency_stop" else LENGTHS_S.get(rule["name"], USUAL_S)
    rule.pop("calendar", None)
    rule["length"] = {"seconds": length_s}
    if "warn_before" in rule:
        rule["warn_before"] = {"seconds": 1}
    rule["escalate"] = rule.get("escalate", [])[: rule["name"] in ESCALATED]
    for number, step in enumerate(rule["escalate"], 1):
        step["after"] = {"seconds": number}
