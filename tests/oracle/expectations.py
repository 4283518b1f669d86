"""The slow oracle: what must be in receipts and queues, computed from the sender's ledger and the policy file alone.

It shares no code with the stages (a test holds that). Where the log's order leaves something open it gives bounds: what must
be, and what may be.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.verify.ledger import LedgerEntry
from tests.oracle.expected_log import FAR, Identity, Member, identities, members
from tests.oracle.features import Bounds, bounds
from tests.oracle.hubs import leading, maybe_measured
from tests.oracle.reference_model import Indicator, Known, Policy
from tests.oracle.retractions import Signal, retracted, tell
from tests.oracle.traces import add_traces

CaseKey = tuple[str, Indicator]
MANY = 1000
"""More confirmed cases than any step of the policy asks for."""


@dataclass(frozen=True)
class ExpectedSignal:
    """What must become of one identity. `of`: the signal ids that a re-send may repeat.

    `loose`: which of its bodies came first, or whether it was taken back, is not determined; only that it is there is.
    `shown`: whether the receipt is of this identity, `counted`: whether the counters are; a version that was replaced is counted
    only.
    """

    identity: Identity
    outcomes: frozenset[str]
    of: frozenset[str] = frozenset()
    score: tuple[int, int] = (0, 100)
    severities: frozenset[str] = frozenset()
    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    loose: bool = False
    shown: bool = True
    counted: bool = True


@dataclass
class ExpectedCase:
    """A case of (queue, leading suspect): the members that must count in it, those that may, and those that only may have,
    before they were taken back."""

    queue: str
    primary: Indicator
    must: list[Member] = field(default_factory=list)
    may: list[Member] = field(default_factory=list)
    once: list[Member] = field(default_factory=list)
    score: tuple[int, int] = (0, 0)

    def amounts(self, currency: str) -> tuple[int, int]:
        sums = []
        for joined in (self.must, self.may):
            sums.append(sum(one.content.amount_minor or 0 for one in joined if one.content.currency == currency))
        return sums[0], sums[1]

    def institutions(self) -> tuple[set[str], set[str]]:
        return {one.content.who for one in self.must}, {one.content.who for one in self.may}

    def kinds(self) -> tuple[set[str], set[str]]:
        return {one.content.kind for one in self.must}, {one.content.kind for one in self.may}


@dataclass
class Expected:
    """Everything. `primaries` are the subjects whose cases a signal may join (one, unless its body is not determined, or whether
    a subject of it was a hub)."""

    signals: list[ExpectedSignal]
    cases: dict[CaseKey, ExpectedCase]
    primaries: dict[str, set[Indicator]]
    policy: Policy


def expect(
    entries: Iterable[LedgerEntry], policy_file: Path, *, undisturbed: bool = False, confirmed: frozenset[Indicator] = frozenset()
) -> Expected:
    """What the ledger's signals must have become. `confirmed`: subjects that officers may have confirmed at some time."""
    policy = Policy(policy_file)
    entries = list(entries)
    found, gone = identities(entries, policy.listed), retracted(entries)
    tell(found, gone)
    contents = members(found)
    by_id = {id(member): member for member in contents}
    maybe = maybe_measured(contents, policy)
    seen = bounds(contents, policy.window_ms, undisturbed=undisturbed, maybe=maybe)
    plain = {id(member): _known(member, seen[id(member)], confirmed) for member in contents}
    scores = {}
    for member_id, (low, high) in add_traces(contents, policy, plain, maybe).items():
        content = by_id[member_id].content
        scores[member_id] = policy.score(content, low), policy.score(content, high)
    cases: dict[CaseKey, ExpectedCase] = {}
    joins = _joins(contents, scores, policy, cases, maybe)
    clear = [(one, member) for member in contents for one in member.identities if not one.blurred]
    signals = [_signal(one, member, scores, joins, policy) for one, member in clear]
    signals += [_loose(one) for one in {(one.who, one.reference, one.version): one for one in found if one.blurred}.values()]
    signals = _as_shown(signals, gone)
    primaries: dict[str, set[Indicator]] = defaultdict(set)
    for one in found:
        for name in one.signal_ids:
            primaries[name].update(leading(one.content, maybe, [one.reference]))
    return Expected(signals, cases, primaries, policy)


def _known(member: Member, seen: Bounds, confirmed: frozenset[Indicator]) -> tuple[Known, Known]:
    """At least and at most. The earlier it was accepted the fresher it was."""
    earliest, latest = member.accepted_ms
    cases = MANY if confirmed & set(member.content.seen) else 0
    low = Known(latest, seen.sightings_low, seen.institutions_low)
    return low, Known(earliest, seen.sightings_high, seen.institutions_high, cases)


def _as_shown(signals: list[ExpectedSignal], gone: dict[Signal, bool]) -> list[ExpectedSignal]:
    """A receipt is of the newest version. What was taken back says so; what may have been says one or the other."""
    versions: dict[Signal, set[int]] = defaultdict(set)
    newest: dict[Signal, int] = defaultdict(int)
    for one in signals:
        at, identity = (one.identity.who, one.identity.reference), one.identity
        versions[at].add(identity.version)
        if identity.sure or identity.acknowledged:
            newest[at] = max(identity.version, newest[at])
    told = []
    for one in signals:
        at, identity = (one.identity.who, one.identity.reference), one.identity
        shown = identity.version == newest[at] or len(versions[at]) == 1
        if identity.fate == "live":
            told.append(replace(one, shown=shown))
            continue
        either = one.outcomes | {"assessed", "duplicate_content", "retracted"}
        told.append(replace(one, outcomes=either, loose=True, shown=False))
        if shown:
            last = frozenset({"retracted"}) if gone.get(at) else either
            told.append(replace(one, outcomes=last, loose=not gone.get(at), counted=False))
    return told


def _loose(identity: Identity) -> ExpectedSignal:
    outcomes = {"assessed", "duplicate_content"} | (set() if identity.acknowledged else {"absent"})
    return ExpectedSignal(identity, frozenset(outcomes), loose=True)


def _signal(
    identity: Identity,
    member: Member,
    scores: dict[int, tuple[int, int]],
    joins: dict[int, tuple[set[str], set[str]]],
    policy: Policy,
) -> ExpectedSignal:
    first = member.first
    if first is identity:
        outcomes = {"assessed"}
    elif first is not None or not member.may_be_first(identity):
        outcomes = {"duplicate_content"}
    else:
        outcomes = {"assessed", "duplicate_content"}
    if not member.steady and len(member.identities) > 1:
        outcomes = {"assessed", "duplicate_content"}
    if not identity.sure:
        outcomes.add("absent")
    rivals = [one for one in member.identities if one is not identity]
    of = {name for one in rivals if not member.steady or member.may_be_first(one) for name in one.signal_ids}
    low, high = scores[id(member)]
    must, may = joins[id(member)]
    told_low, told_high = _own_score(member, policy) if member.content.lead else (low, high)
    severities = {policy.severity(score) for score in range(told_low, told_high + 1)}
    sure = outcomes == {"assessed"}
    return ExpectedSignal(
        identity,
        frozenset(outcomes),
        frozenset(of),
        (low, high),
        frozenset(severities),
        frozenset(must if sure else ()),
        frozenset(may),
    )


def _place(member: Member, lead: Indicator) -> tuple[int, int]:
    """Where it stands among the signals of this lead, at the earliest and the latest. Signals that it leads behind a measured hub
    lie in other partitions, between which there is no order."""
    return (member.low, member.high) if member.content.case_subject == lead else (0, FAR)


def _own_score(member: Member, policy: Policy) -> tuple[int, int]:
    """Of what the signal alone says: all that the sender of a lead is told. When a site was registered, is not in it."""
    earliest, latest = member.accepted_ms
    alone = replace(member.content, more=_without_registration(member.content.optional))
    return policy.score(alone, Known(latest)), policy.score(alone, Known(earliest))


def _without_registration(optional: dict[str, Any]) -> str:
    event = {name: value for name, value in (optional.get("event") or {}).items() if name != "registered_at"}
    return json.dumps(optional | ({"event": event} if event else {}))


def _joins(
    contents: list[Member],
    scores: dict[int, tuple[int, int]],
    policy: Policy,
    cases: dict[CaseKey, ExpectedCase],
    hubs: frozenset[Indicator],
) -> dict[int, tuple[set[str], set[str]]]:
    """Queues that each member must and may have gone to; fills in the cases. `hubs`: subjects that may have been measured so.

    A member goes to a queue by its score, or because a member before it with the same leading suspect went there.
    """
    leads = {id(one): leading(one.content, hubs, [name.reference for name in one.identities]) for one in contents}
    by_lead: dict[Indicator, list[Member]] = defaultdict(list)
    for member in contents:
        for lead in leads[id(member)]:
            by_lead[lead].append(member)
    joins: dict[int, tuple[set[str], set[str]]] = {id(member): (set(), set()) for member in contents}
    for lead, group in by_lead.items():
        surely_open: dict[str, int] = defaultdict(lambda: FAR)
        maybe_open: dict[str, int] = defaultdict(lambda: FAR)
        for member in group:
            low, high = scores[id(member)]
            certain = len(leads[id(member)]) == 1
            for queue, threshold in policy.queues(member.content, hubs):
                if low >= threshold and member.sure and certain:
                    surely_open[queue] = min(surely_open[queue], _place(member, lead)[1])
            for queue, threshold in policy.queues(member.content):
                if high >= threshold:
                    maybe_open[queue] = min(maybe_open[queue], _place(member, lead)[0])
        for member in group:
            must, may = joins[id(member)]
            low, high = scores[id(member)]
            certain = len(leads[id(member)]) == 1
            first, last = _place(member, lead)
            here = set()
            for queue, threshold in policy.queues(member.content, hubs):
                if member.sure and (low >= threshold or (certain and surely_open[queue] < first)):
                    must.add(queue)
            for queue, threshold in policy.queues(member.content):
                if high >= threshold or (maybe_open[queue] <= last and maybe_open[queue] < FAR):
                    here.add(queue)
            may |= here
            for queue in here:
                case = cases.setdefault((queue, lead), ExpectedCase(queue, lead))
                (case.once if member.gone else case.may).append(member)
                if queue in must and certain:
                    case.must.append(member)
    for case in cases.values():
        case.score = (
            max((scores[id(one)][0] for one in case.must), default=0),
            max((scores[id(one)][1] for one in case.may), default=0),
        )
    return joins
