"""A figure: what a bench measured, how often, and whether it is what it must be.

A rate or a time depends on the machine and on who else uses it, so it is judged as a ratio: over a baseline that the same run
measured in turns with it. `compare` makes the two figures. A figure without a target is printed and judges nothing.
Invariant: a figure is printed as it was measured; what could not be measured says why, and is not `ok`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class AtLeast:
    value: float

    def holds(self, measured: float) -> bool:
        return measured >= self.value

    def __str__(self) -> str:
        return f">= {self.value:g}"


@dataclass(frozen=True)
class AtMost:
    value: float

    def holds(self, measured: float) -> bool:
        return measured <= self.value

    def __str__(self) -> str:
        return f"<= {self.value:g}"


Target = AtLeast | AtMost


@dataclass(frozen=True)
class Figure:
    """`runs` are the single measurements; `against` names what it is compared with and that one's median, where there is one.

    `absolute`: the target that the figure had on the machine of its day. It is printed and judges nothing.
    """

    bench: str
    metric: str
    unit: str
    runs: Sequence[float]
    target: Target | None = None
    against: dict[str, float] = field(default_factory=dict)
    note: str = ""
    absolute: Target | None = None

    @property
    def median(self) -> float:
        return median(self.runs)

    @property
    def ok(self) -> bool:
        return self.target is None or self.target.holds(self.median)

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "bench": self.bench,
            "metric": self.metric,
            "unit": self.unit,
            "median": _rounded(self.median),
            "runs": [_rounded(one) for one in self.runs],
            "target": str(self.target) if self.target else None,
            "ok": self.ok,
        }
        if self.absolute:
            told["absolute"] = f"{self.absolute} on the machine of that day"
        if self.against:
            told["against"] = {name: _rounded(value) for name, value in self.against.items()}
        return told | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class NotRun:
    """`why` says what is missing and how to get it."""

    bench: str
    metric: str
    why: str
    ok: bool = False

    def as_json(self) -> dict[str, Any]:
        return {"bench": self.bench, "metric": self.metric, "not run": self.why, "ok": self.ok}


Row = Figure | NotRun


def compare(absolute: Figure, baseline: Sequence[float], name: str, target: Target) -> list[Row]:
    """The ratio of each round over the baseline of that round, which is judged, and the absolute figure beside it. The name says
    what the baseline does; its runs are in the unit of the figure, as many as the figure has."""
    ratios = [measured / bare for measured, bare in zip(absolute.runs, baseline, strict=True)]
    against = {f"{name}, {absolute.unit}": median(baseline)}
    return [Figure(absolute.bench, f"{absolute.metric}, over {name}", "x", ratios, target, against), absolute]


def _rounded(value: float) -> float:
    return round(value, 4 if abs(value) < 1 else 3) if abs(value) < 100 else round(value)
