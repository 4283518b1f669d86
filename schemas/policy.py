"""The policy: every weight, threshold, route and length of time that an operator decides. Validated, versioned.

Invariant: the code knows no number of these; every decision names the policy that it was made by (`label`).
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.signals import SignalKind
from schemas.values import AmountMinor, PartyId, Region, Strict

Severity = Literal["critical", "high", "medium", "low"]
Scope = Literal["county", "city"]


class AmountStep(Strict):
    from_minor: AmountMinor
    points: int = Field(ge=0, le=100)


class CountStep(Strict):
    from_count: int = Field(ge=1)
    points: int = Field(ge=0, le=100)


class Rules(Strict):
    """Points of each rule; of the steps that are reached, the highest counts."""

    kind: dict[SignalKind, int]
    amount: tuple[AmountStep, ...]
    velocity: tuple[CountStep, ...]
    institutions: tuple[CountStep, ...]


class RouteRule(Strict):
    """To which agency a kind goes: the county's unit or the city's, from which score on (None: the case threshold).

    `always`: whatever the score. Leads of organized crime go to public security at once (Art. 17).
    """

    agency: PartyId
    scope: Scope
    from_score: int | None = Field(default=None, ge=0, le=100)
    always: bool = False

    @model_validator(mode="after")
    def _one(self) -> RouteRule:
        if self.always and self.from_score is not None:
            raise ValueError("a route is taken always or from a score on, not both")
        return self


class LowTrust(Strict):
    """What a signal of low trust (a public tip) is worth: a share of its points, at most so many. `opens_cases`: it goes to the
    first agency of its kind even so, at the end of the queue."""

    percent: int = Field(default=50, ge=0, le=100)
    most: int = Field(default=30, ge=0, le=100)
    opens_cases: bool = True


class Leases(Strict):
    default_s: int = Field(default=900, ge=1)
    longest_s: int = Field(default=3600, ge=1)


class Keep(Strict):
    """How long each kind of state counts, in days. Facts are kept 400 days, so nothing here may be longer."""

    claims_days: int = Field(default=30, ge=1, le=400)
    sightings_days: int = Field(default=7, ge=1, le=400)
    cases_days: int = Field(default=180, ge=1, le=400)


class Policy(Strict):
    """One city's policy. `version` is the operator's name for it."""

    name: PartyId
    version: str = Field(pattern=r"^[0-9A-Za-z.\-]{1,32}$")
    city: Region
    counties: dict[Region, str]
    window_s: int = Field(ge=60)
    rules: Rules
    case_from: int = Field(ge=0, le=100)
    severities: dict[Severity, int]
    routes: dict[SignalKind, Annotated[tuple[RouteRule, ...], Field(max_length=16)]]
    low_trust: LowTrust = LowTrust()
    leases: Leases = Leases()
    keep: Keep = Keep()
    case_signals_kept: int = Field(default=20, ge=1, le=200)

    @model_validator(mode="after")
    def _whole(self) -> Policy:
        if missing := [kind.value for kind in SignalKind if not self.routes.get(kind)]:
            raise ValueError(f"routes: no agency for {', '.join(missing)}; every kind needs one")
        for kind, rules in self.routes.items():
            if rules[0].from_score is not None:
                raise ValueError(f"routes.{kind.value}: the first agency takes every case, it has no from_score")
        if self.window_s > self.keep.sightings_days * 86_400:
            raise ValueError("window_s is longer than keep.sightings_days: sightings would be gone before they count")
        if self.low_trust.most >= self.case_from:
            raise ValueError("low_trust.most reaches case_from: a tip alone would weigh like an institution's signal")
        if self.leases.default_s > self.leases.longest_s:
            raise ValueError("leases.default_s is longer than leases.longest_s")
        return self

    @cached_property
    def label(self) -> str:
        """`name/version/hash`: the hash tells two files of one version apart."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]
        return f"{self.name}/{self.version}/{digest}"
