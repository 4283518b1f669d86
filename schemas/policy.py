"""The policy: every weight, threshold, route and length of time that an operator sets. Validated and versioned.

Invariant: the code contains none of these numbers, and every decision names its policy (`label`).
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from schemas.common import AmountMinor, PartyId, Region, Strict
from schemas.deadlines import Deadlines
from schemas.deadlines import Severity as Severity
from schemas.money_trail import TrailRules
from schemas.orders.policy import OrderRules
from schemas.signals.hubs import Hubs
from schemas.signals.indicators import IndicatorKind, canonical
from schemas.signals.submission import ScamStage, SignalKind

Scope = Literal["county", "city"]


Points = Annotated[int, Field(ge=0, le=100)]


class AmountStep(Strict):
    """Points from this amount on, in minor units of the yuan."""

    from_minor: AmountMinor
    points: Points


class CountStep(Strict):
    """Points from this count on."""

    from_count: int = Field(ge=1)
    points: Points


class SpanStep(Strict):
    """Points up to this span."""

    within_s: int = Field(ge=1, le=400 * 86_400)
    points: Points


Step = TypeVar("Step", AmountStep, CountStep, SpanStep)


def _harder(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Checks that steps go from the easiest bound to the hardest, each once, and that a harder one never gives fewer points."""
    bounds = [-step.within_s if isinstance(step, SpanStep) else _from(step) for step in steps]
    if any(after <= before for before, after in pairwise(bounds)):
        raise ValueError("the steps must go from the easiest bound to the hardest, and each bound may occur only once")
    if any(after.points < before.points for before, after in pairwise(steps)):
        raise ValueError("a step with a harder bound must not give fewer points than the previous one")
    return steps


def _from(step: AmountStep | CountStep) -> int:
    return step.from_minor if isinstance(step, AmountStep) else step.from_count


AmountSteps = Annotated[tuple[AmountStep, ...], Field(max_length=16), AfterValidator(_harder)]
CountSteps = Annotated[tuple[CountStep, ...], Field(max_length=16), AfterValidator(_harder)]
SpanSteps = Annotated[tuple[SpanStep, ...], Field(max_length=16), AfterValidator(_harder)]


class Rules(Strict):
    """Points of each rule (docs/reference/rules.md). Of the reached steps the highest counts. A rule without points is off."""

    kind: dict[SignalKind, Points]
    stage: dict[ScamStage, Points] = {}
    amount: AmountSteps = ()
    loss: AmountSteps = ()
    freshness: SpanSteps = ()
    velocity: CountSteps = ()
    institutions: CountSteps = ()
    confirmed: CountSteps = ()
    repeat_victim: CountSteps = ()
    contact: SpanSteps = ()
    repeated_pair: CountSteps = ()
    fan_in: CountSteps = ()
    fan_out: CountSteps = ()
    pass_through: SpanSteps = ()
    new_domain: SpanSteps = ()


class Flows(Strict):
    """Parameters of the transfer rules. `window_s`: how far apart two transfers may be to belong together; `max_loss_permille`:
    how much less may leave than came in and still count as the same money; `victim_window_s`: closer events of a victim count as
    one.
    """

    window_s: int = Field(default=86_400, ge=60)
    max_loss_permille: int = Field(default=50, ge=0, le=500)
    victim_window_s: int = Field(default=86_400, ge=60)


Article = Literal[10, 17, 20, 21, 22, 48]
"""An article of the regulation that makes an agency responsible."""


class RouteRule(Strict):
    """The agency for a kind: the county's unit or the city's, and the article that assigns it.

    `from_score`: the lowest score (None: the case threshold); `always`: any score, because leads of organized crime go to public
    security at once (Art. 17). `indicator_kinds`: only with a suspect of one of these kinds; `regions`: only for signals of
    these. The first rule of a kind names the agency in charge, the others get linked copies.
    """

    agency: PartyId
    scope: Scope
    article: Article | None = None
    from_score: Points | None = None
    always: bool = False
    indicator_kinds: Annotated[tuple[IndicatorKind, ...], Field(max_length=16)] = ()
    regions: Annotated[tuple[Region, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _check_condition(self) -> RouteRule:
        if self.always and self.from_score is not None:
            raise ValueError("a route cannot have both `always` and `from_score`")
        return self

    @property
    def narrow(self) -> bool:
        """Whether the route excludes some cases of its kind."""
        return self.from_score is not None or bool(self.indicator_kinds) or bool(self.regions)


class LowTrust(Strict):
    """The weight of a signal of low trust (a public tip): a share of its points, up to a limit. `opens_cases`: it goes to the
    first agency of its kind in spite of that, at the end of the queue."""

    percent: int = Field(default=50, ge=0, le=100)
    max_points: int = Field(default=30, ge=0, le=100)
    opens_cases: bool = True


class Leases(Strict):
    default_s: int = Field(default=900, ge=1)
    max_s: int = Field(default=3600, ge=1)


class Keep(Strict):
    """Retention of each kind of state in days. Facts are kept 400 days, so no value may be higher. A reference lasts as long as
    any state of its signal; otherwise a new use of it would replace state that a retraction must find."""

    claims_days: int = Field(default=180, ge=1, le=400)
    sightings_days: int = Field(default=7, ge=1, le=400)
    cases_days: int = Field(default=180, ge=1, le=400)
    victims_days: int = Field(default=90, ge=1, le=400)

    @model_validator(mode="after")
    def _known_longest(self) -> Self:
        longest = max(self.cases_days, self.sightings_days, self.victims_days)
        if self.claims_days < longest:
            raise ValueError(f"claims_days is {self.claims_days}, but references must last as long as traces, {longest} days")
        return self


def _canonical(listed: dict[IndicatorKind, tuple[str, ...]]) -> dict[IndicatorKind, tuple[str, ...]]:
    """Checks canonical form: a value in another spelling would never match."""
    for kind, values in listed.items():
        if wrong := [value for value in values if canonical(kind, value) != value]:
            raise ValueError(f"{kind.value}: {', '.join(wrong)} is not in canonical form (docs/reference/indicators.md)")
    return listed


Listed = Annotated[dict[IndicatorKind, Annotated[tuple[str, ...], Field(max_length=256)]], AfterValidator(_canonical)]
"""Kind -> canonical values."""


class Policy(Strict):
    """The policy of one city. `version` is the operator's name for it. `placeholders`: values that mean "none" in this city's
    signals, in addition to the built-in ones; they are accepted but not matched."""

    name: PartyId
    version: str = Field(pattern=r"^[0-9A-Za-z.\-]{1,32}$")
    city: Region
    counties: dict[Region, str]
    window_s: int = Field(ge=60)
    flows: Flows = Flows()
    hubs: Hubs = Hubs()
    rules: Rules
    case_threshold: int = Field(ge=0, le=100)
    severities: dict[Severity, int]
    routes: dict[SignalKind, Annotated[tuple[RouteRule, ...], Field(max_length=16)]]
    low_trust: LowTrust = LowTrust()
    leases: Leases = Leases()
    retention: Keep = Keep()
    deadlines: Deadlines = Deadlines()
    orders: OrderRules = OrderRules()
    trail: TrailRules = TrailRules()
    placeholders: Listed = {}
    case_signals_kept: int = Field(default=20, ge=1, le=200)

    @model_validator(mode="after")
    def _check_sections(self) -> Policy:
        if missing := [kind.value for kind in SignalKind if not self.routes.get(kind)]:
            raise ValueError(f"routes: no agency for {', '.join(missing)}; every kind requires one")
        for kind, rules in self.routes.items():
            if rules[0].narrow:
                message = "the first agency receives every case, so it cannot have from_score, indicator_kinds or regions"
                raise ValueError(f"routes.{kind.value}: {message}")
            if unknown := sorted({region for rule in rules for region in rule.regions} - {*self.counties, self.city}):
                raise ValueError(f"routes.{kind.value}: {', '.join(unknown)} is neither the city nor one of its counties")
        deadline_names = {rule.name for rule in self.deadlines.rules}
        if unknown := sorted(set(self.orders.deadline_names()) - deadline_names):
            raise ValueError(f"orders: there is no deadline {', '.join(unknown)}; an order without its deadline would never end")
        if steep := sorted({rule.name for rule in self.deadlines.rules if rule.escalate and rule.name in self.orders.notices}):
            raise ValueError(f"deadlines: {', '.join(steep)} is a waiting period that nobody can miss; remove its escalate")
        self._times()
        return self

    def _times(self) -> None:
        kept_s = self.retention.sightings_days * 86_400
        if self.window_s > kept_s:
            raise ValueError("window_s exceeds retention.sightings_days, so sightings would expire before they count")
        if self.low_trust.max_points >= self.case_threshold:
            raise ValueError(
                "low_trust.max_points reaches case_threshold, so a tip alone would open a case like a signal of an institution"
            )
        for name, needed_s in (("flows.window_s", self.flows.window_s), ("rules.pass_through", self.passing_s)):
            if needed_s > kept_s:
                raise ValueError(f"{name} exceeds retention.sightings_days, so transfers would expire before they count")
        if max(self.flows.victim_window_s, self.contact_s) > self.retention.victims_days * 86_400:
            raise ValueError("flows.victim_window_s and rules.contact must not exceed retention.victims_days")
        if self.leases.default_s > self.leases.max_s:
            raise ValueError("leases.default_s exceeds leases.max_s")

    @cached_property
    def passing_s(self) -> int:
        """The longest time in which money counts as passed through; 0 if the rule is off."""
        return max((step.within_s for step in self.rules.pass_through), default=0)

    @cached_property
    def contact_s(self) -> int:
        """The longest time from a call or message to a payment that counts; 0 if the rule is off."""
        return max((step.within_s for step in self.rules.contact), default=0)

    @cached_property
    def label(self) -> str:
        """`name/version/hash`: the hash distinguishes two files of one version."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]
        return f"{self.name}/{self.version}/{digest}"
