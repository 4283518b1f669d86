"""Routing: the agencies' queues for a signal, and the case it joins there (Art. 17, 21, 22).

Invariant: one case for each (queue, leading suspect), and one for the leads of organized crime about it: the case id is a
function of these, so two workers create the same. Neither hubs nor derived subjects lead; a signal of hubs alone has a case of
its own.
"""

from __future__ import annotations

from collections.abc import Set
from hashlib import sha256

from schemas.cases.case import Case
from schemas.policy import Policy, RouteRule
from schemas.signals.assessed import Route
from schemas.signals.submission import SignalKind, SubmittedSignal
from stream_processors.domain.signals import hubs, trust
from stream_processors.domain.signals.leads import is_lead, match_name


def queue_of(rule: RouteRule, region: str, policy: Policy) -> str:
    """`public-security-630202`: the county's queue if the policy knows the county, else the city's."""
    county = rule.scope == "county" and region in policy.counties
    return f"{rule.agency}-{region if county else policy.city}"


def case_id(queue: str, key: str) -> str:
    """The id of the case of this subject in this queue; `key` see `hubs.case_name`."""
    return "case-" + sha256(f"{queue}|{key}".encode()).hexdigest()[:24]


def twin_id(case: Case) -> str:
    """The id of the twin case about the same subject: of leads of organized crime, or of everything else. It may not exist."""
    opened_in = case.transfers[0].from_queue if case.transfers else case.queue
    return case_id(opened_in, match_name(case.primary_subject.token, None if case.leads_only else SignalKind.ORGANIZED_CRIME))


def _is_concerned(rule: RouteRule, region: str, kinds: Set[str]) -> bool:
    return (not rule.indicator_kinds or not kinds.isdisjoint(rule.indicator_kinds)) and (
        not rule.regions or region in rule.regions
    )


def routes(
    signal: SubmittedSignal, points: int, queues: Set[str], policy: Policy, measured: Set[str] = hubs.NOTHING
) -> tuple[Route, ...]:
    """The routes of the signal: always, above the threshold, or where the subject already has a case (`queues`); a tip in any
    case. Hubs among its suspects, and subjects derived from them, concern no agency. The route of a lead of organized crime
    follows from the lead alone, because its sender learns it: `points` are the sender's then."""
    if is_lead(signal.kind):
        queues = frozenset()
    subjects = hubs.marked(signal.subjects, measured)
    kinds = {subject.kind for subject in subjects if subject.role == "suspect" and subject.hub is None and not subject.derived}
    key = hubs.case_name(signal, measured)
    by_queue: dict[str, Route] = {}
    for rule in policy.routes[signal.kind]:
        queue = queue_of(rule, signal.region, policy)
        threshold = policy.case_threshold if rule.from_score is None else rule.from_score
        reached = rule.always or points >= threshold or trust.opens(signal, rule, policy)
        if queue not in by_queue and (queue in queues or (reached and _is_concerned(rule, signal.region, kinds))):
            by_queue[queue] = Route.trusted(queue=queue, case_id=case_id(queue, key))
    return tuple(by_queue.values())
