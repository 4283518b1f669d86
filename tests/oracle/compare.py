"""Compares the live views with what the oracle says. Every difference is a sentence that a person can act on."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from redis.asyncio import Redis

from deploy.verify.run import read_receipts
from schemas.cases.case import Case, Disposition
from stream_processors.views.api import Views
from stream_processors.views.receipts import Receipt
from tests.oracle.case_lineage import families, home, kin
from tests.oracle.expectations import CaseKey, Expected, ExpectedCase, ExpectedSignal
from tests.oracle.hubs import OWN
from tests.oracle.reference_model import Indicator

PARTIES = ("account", "card", "wallet", "merchant", "resident_id", "uscc")
_AT_ONCE = 16
_PAGE = 200


class Difference(NamedTuple):
    """`about` names the signal or case, then what must be, then what is."""

    about: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.about}: expected {self.expected}, found {self.found}"


class Live(NamedTuple):
    """What the views say."""

    receipts: dict[str, Receipt]
    cases: dict[str, Case]
    counters: dict[str, int]


async def read_live(redis_url: str, signal_ids: Iterable[str]) -> Live:
    """Receipts of these signals, the cases that they name and all that are in a queue, the counters."""
    redis = Redis.from_url(redis_url, protocol=2)
    views = Views(redis)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def case(name: str) -> Case | None:
        async with gate:
            return await views.case(name)

    try:
        receipts = await read_receipts(views, signal_ids)
        cases: dict[str, Case] = {}
        for queue in {one.queue for one in await views.standings()}:
            page = await views.page(queue, limit=_PAGE)
            while True:
                cases |= {one.case_id: one for one in page.cases}
                if page.next is None:
                    break
                page = await views.page(queue, limit=_PAGE, after=page.next)
        named = {name for one in receipts.values() for name in one.cases} - set(cases)
        while named:
            more = {one.case_id: one for one in await asyncio.gather(*(case(name) for name in named)) if one is not None}
            cases, asked = cases | more, named
            named = {name for one in cases.values() for name in kin(one)} - set(cases) - asked
        return Live(receipts, cases, await views.counters())
    finally:
        await redis.aclose()


def signal_ids(expected: Expected) -> list[str]:
    return [name for one in expected.signals for name in one.identity.signal_ids]


def maybe_confirmed(expected: Expected, live: Live) -> frozenset[Indicator]:
    """Subjects that officers confirmed, or may have before a case was opened again: of a case its primary subject, and what
    its signals name besides accounts and persons. What was merged with it or split off it may have been a part of it then."""
    found: set[Indicator] = set()
    for family in families(live.cases.values()):
        if not any(one.disposition is Disposition.CONFIRMED or one.reopen_count for one in family):
            continue
        for case in family:
            for primary in expected.primaries.get(case.primary_signal_id, ()):
                wanted = expected.cases.get((home(case), primary))
                joined = [*wanted.may, *wanted.once] if wanted else []
                suspects = {one for member in joined for one in member.content.seen}
                found |= {primary} | {one for one in suspects if one[0].split()[0] not in PARTIES}
    return frozenset(found)


def differences(expected: Expected, live: Live, *, partial: bool = False) -> list[Difference]:
    """All of them. `partial`: others sent to this system too, so upper bounds are not looked at."""
    found = [one for signal in expected.signals if signal.shown for one in _of_signal(signal, live, partial)]
    found += _of_cases(expected, live, partial)
    if not partial:
        found += _of_counters(expected, live)
    return found


def _of_signal(signal: ExpectedSignal, live: Live, partial: bool) -> list[Difference]:
    identity = signal.identity
    about = f"signal {identity.who}/{identity.reference}"
    if len(identity.signal_ids) > 1:
        return [Difference(about, "one signal id", ", ".join(sorted(identity.signal_ids)))]
    receipt = live.receipts.get(next(iter(identity.signal_ids), ""))
    if receipt is None:
        lost = Difference(about, f"a receipt ({' or '.join(sorted(signal.outcomes))})", "none: acknowledged and lost")
        return [] if "absent" in signal.outcomes else [lost]
    if signal.loose:
        return []
    if receipt.outcome not in signal.outcomes:
        return [Difference(about, " or ".join(sorted(signal.outcomes)), receipt.outcome)]
    if receipt.outcome == "retracted":
        return []
    if receipt.outcome == "duplicate_content":
        wrong = receipt.duplicate_of not in signal.of
        return [Difference(about, f"a re-send of {' or '.join(sorted(signal.of))}", str(receipt.duplicate_of))] if wrong else []
    found = []
    low, high = signal.score[0], 100 if partial else signal.score[1]
    if receipt.score is None or not low <= receipt.score <= high:
        found.append(Difference(about, f"a score {_range(low, high)}", str(receipt.score)))
    elif not partial and receipt.severity not in signal.severities:
        found.append(Difference(about, f"severity {' or '.join(sorted(signal.severities))}", str(receipt.severity)))
    queues = set(receipt.queues)
    if missing := signal.must - queues:
        found.append(Difference(about, f"to be in {', '.join(sorted(missing))}", _names(queues)))
    if not partial and (more := queues - signal.may):
        found.append(Difference(about, "not to be in " + ", ".join(sorted(more)), _names(queues)))
    return found


def _of_cases(expected: Expected, live: Live, partial: bool) -> list[Difference]:
    """Family by family: a case that was neither merged nor split is alone."""
    found: list[Difference] = []
    by_key: dict[CaseKey, list[Case]] = defaultdict(list)
    known = _subjects(expected, live)
    for family in families(live.cases.values()):
        keys: dict[CaseKey, None] = {}
        for case in family:
            if (key := _key(case, expected, known)) is not None and case.split_from is None:
                by_key[key].append(case)
                keys[key] = None
            elif key is None and not partial:
                about = f"case {case.case_id} in {case.queue}"
                found.append(Difference(about, "nothing", "a case of a signal that nobody sent"))
        if wanted := [expected.cases[key] for key in keys if key in expected.cases]:
            found += _of_family(wanted, [one for one in family if one.merged_into is None], expected, partial)
    for key, one in expected.cases.items():
        cases = by_key.pop(key, [])
        if len(cases) > 1:
            found.append(Difference(_about(one), "one case", f"{len(cases)}: {', '.join(case.case_id for case in cases)}"))
        elif not cases and one.must:
            found.append(Difference(_about(one), f"a case with {len(one.must)} signals or more", "none"))
    if not partial:
        for (queue, primary), cases in by_key.items():
            about = f"case of {primary[0]} {primary[1]} in {queue}"
            found += [Difference(about, "no case", f"{case.case_id} with score {case.score}") for case in cases]
    return found


def _subjects(expected: Expected, live: Live) -> dict[str, Indicator]:
    """Which subject a case's token is: one that all the signals of its cases may be led by, and no other token's."""
    joined: dict[str, list[set[Indicator]]] = defaultdict(list)
    for name, receipt in live.receipts.items():
        for case_id in receipt.cases:
            joined[case_id].append(expected.primaries.get(name, set()))
    may: dict[str, set[Indicator]] = {}
    for case in live.cases.values():
        if case.primary_subject.hub is not None:
            continue
        first = expected.primaries.get(case.primary_signal_id, set())
        own = {one for one in first if one[0] == case.primary_subject.kind.value} or first
        own = own.intersection(*joined[case.case_id]) or own
        own = {one for one in own if (home(case), one) in expected.cases} or own  # bodies of one reference name several regions
        may[case.primary_subject.token] = may.get(case.primary_subject.token, own) & own or own
    found = {token: next(iter(ones)) for token, ones in may.items() if len(ones) == 1}
    open_ones, claimed = {token: ones for token, ones in may.items() if len(ones) > 1}, set(found.values())
    while open_ones:
        token = min(open_ones, key=lambda one: (len(open_ones[one] - claimed), one))
        left = open_ones.pop(token) - claimed
        if left:
            found[token] = min(left)
            claimed.add(found[token])
    return found


def _key(case: Case, expected: Expected, known: dict[str, Indicator]) -> CaseKey | None:
    """The queue and the subject that it was opened with; None when nobody sent that."""
    primaries = expected.primaries.get(case.primary_signal_id, set())
    if len(primaries) > 1 and case.primary_subject.hub is None and case.primary_subject.token in known:
        primaries = {known[case.primary_subject.token]}
    elif len(primaries) > 1:
        primaries = {one for one in primaries if one[0] == OWN} or primaries
    keys = [(home(case), primary) for primary in sorted(primaries)]
    return next((key for key in keys if key in expected.cases), next(iter(keys), None))


def _about(wanted: ExpectedCase) -> str:
    return f"case of {wanted.primary[0]} {wanted.primary[1]} in {wanted.queue}"


def _of_family(wanted: list[ExpectedCase], cases: list[Case], expected: Expected, partial: bool) -> list[Difference]:
    """What is wanted of all of them together. `cases`: those that were not merged into another."""
    found = []
    about = " and ".join(_about(one) for one in wanted)

    def number(what: str, low: int, high: int, value: int) -> None:
        if value < low or (value > high and not partial):
            found.append(Difference(about, f"{what} {_range(low, high)}", str(value)))

    def names(what: str, bounds: list[tuple[set[str], set[str]]], values: list[set[str]]) -> None:
        low, high, value = _union(one[0] for one in bounds), _union(one[1] for one in bounds), _union(values)
        if low - value or (value - high and not partial):
            found.append(Difference(about, f"{what} {_names(low)} (at most {_names(high)})", _names(value)))

    must, may = sum(len(one.must) for one in wanted), sum(len(one.may) for one in wanted)
    number("signals", must, may, sum(one.signal_count for one in cases))
    scores = [one.score for one in wanted]
    number("score", max(low for low, _ in scores), max(high for _, high in scores), max((one.score for one in cases), default=0))
    names("institutions", [one.institutions() for one in wanted], [set(one.institutions) for one in cases])
    names("kinds", [one.kinds() for one in wanted], [{str(kind.value) for kind in one.kinds} for one in cases])
    currencies = {one.content.currency for case in wanted for one in case.may}
    currencies |= {name for one in cases for name in one.amount_minor}
    for currency in sorted(one for one in currencies if one is not None):
        amounts = [one.amounts(currency) for one in wanted]
        low, high = sum(one for one, _ in amounts), sum(one for _, one in amounts)
        number(f"{currency} (minor units)", low, high, sum(one.amount_minor.get(currency, 0) for one in cases))
    for one in cases:
        if one.severity != expected.policy.severity(one.score):
            found.append(Difference(about, f"severity {expected.policy.severity(one.score)}", one.severity))
    return found


def _union(found: Iterable[set[str]]) -> set[str]:
    return {name for one in found for name in one}


def _of_counters(expected: Expected, live: Live) -> list[Difference]:
    """Each identity counted once: as assessed or as a re-send."""
    low: Counter[str] = Counter()
    high: Counter[str] = Counter()
    for signal in (one for one in expected.signals if one.counted):
        who = signal.identity.who
        for outcome in signal.outcomes - {"absent", "retracted"}:
            high[f"{outcome}:{who}"] += 1
            low[f"{outcome}:{who}"] += len(signal.outcomes) == 1
    found = []
    for name in sorted(set(high) | {one for one in live.counters if one.startswith(("assessed:", "duplicate_content:"))}):
        value = live.counters.get(name, 0)
        if not low[name] <= value <= high[name]:
            found.append(Difference(f"counter {name}", _range(low[name], high[name]), str(value)))
    return found


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _names(found: Iterable[str]) -> str:
    return ", ".join(sorted(found)) or "none"
