"""The oracle against a simulated system: it finds nothing wrong with one that keeps the laws, whatever fails on the way, and
does find each thing that is wrong.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.demo.generate import Mix, Planned, generate
from deploy.verify.ledger import read_ledger
from schemas.cases.case import Case, CaseStatus, CaseTransfer
from schemas.signals.submission import SignalKind
from stream_processors.runtime.settings import SHIPPED_POLICY
from tests.chaos.invariants import of_family
from tests.oracle.compare import Live, differences
from tests.oracle.expectations import Expected, expect
from tests.oracle.reference_model import Policy
from tests.support.builders import opened_case
from tests.unit.verify.simulation import Stage, place_of, second_thoughts, send

START = datetime(2026, 3, 1, tzinfo=UTC)
CROWDED = Mix(repeat=0.1, resend=0.15, conflict=0.05, corroborate=0.6, second=0.5, shared=0.9, hot=0.1)
NOBODYS = replace(CROWDED, nobody=0.1)
"""Not with corrections: a content that names nobody has a case of its own, so which of them a case is cannot be told here."""


def stream(seed: int, n: int = 150, mix: Mix = NOBODYS) -> list[Planned]:
    return list(generate(n, seed=seed, start=START, span_s=2 * 86_400, institutions=("a1", "b2", "c3"), mix=mix))


def played(
    tmp_path: Path, seed: int, failing: float, *, undisturbed: bool = True, back: float = 0.0, hubs: float = 0.0
) -> tuple[Expected, Live]:
    """`hubs`: the share of signals that name a listed hotline, half of them nothing else; others share a few phones."""
    rng, ledger, file = Random(seed), tmp_path / f"{seed}-{failing}.ndjson", SHIPPED_POLICY
    ledger.unlink(missing_ok=True)
    planned = stream(seed, mix=CROWDED if back else NOBODYS)
    if hubs:
        planned = [replace(one, body=_with_hubs(one.body, rng, hubs, listed_only=back > 0)) for one in planned]
        file = tmp_path / "policy.yaml"
        file.write_text(SHIPPED_POLICY.read_text("utf-8").replace("max_primary_subjects: 10", "max_primary_subjects: 4"), "utf-8")
    policy = Policy(file)
    log = send(second_thoughts(planned, rng, back) if back else planned, ledger, rng, failing, hubs=policy.listed)
    live = Stage(policy).run(log, rng)
    return expect(read_ledger(ledger, place_of), file, undisturbed=undisturbed), live


def _with_hubs(body: dict[str, Any], rng: Random, share: float, *, listed_only: bool) -> dict[str, Any]:
    """With corrections only the listed hotline: whether another subject is a hub by then, and so which case is whose, cannot be
    told from the ledger. tests/chaos has both."""
    hotline = {"kind": "phone", "value": "95588", "role": "suspect"}
    shared = {"kind": "phone", "value": f"1390000000{rng.randrange(2)}", "role": "suspect"}
    if "event" in body or rng.random() > share:
        return body
    named = [] if rng.random() < 0.2 else body["indicators"]
    return {**body, "indicators": [*named, hotline if listed_only else rng.choice((hotline, shared))]}


@given(
    seed=st.integers(0, 10**6),
    failing=st.sampled_from([0.0, 0.02, 0.2, 0.5]),
    undisturbed=st.booleans(),
    back=st.sampled_from([0.0, 0.05, 0.2]),
    hubs=st.sampled_from([0.0, 0.1, 0.5]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_wrong_with_a_system_that_keeps_the_laws(tmp_path, seed, failing, undisturbed, back, hubs):
    expected, live = played(tmp_path, seed, failing, undisturbed=undisturbed, back=back, hubs=hubs)
    assert [str(one) for one in differences(expected, live)] == []
    assert [str(one) for one in differences(expected, live, partial=True)] == []


def test_without_failures_most_is_determined(tmp_path):
    expected, _ = played(tmp_path, 7, 0.0)
    exact = [one for one in expected.signals if one.score[0] == one.score[1]]
    assert len(exact) > 0.5 * len(expected.signals)
    assert all(len(one.outcomes) == 1 for one in expected.signals)
    assert sum(bool(case.must) for case in expected.cases.values()) > 0.7 * len(expected.cases)


def test_without_second_indicators_everything_is_determined(tmp_path):
    planned = list(generate(300, seed=3, start=START, institutions=("a1", "b2", "c3"), mix=Mix(corroborate=0.8, second=0.0)))
    rng, ledger = Random(3), tmp_path / "l.ndjson"
    live = Stage(Policy(SHIPPED_POLICY)).run(send(planned, ledger, rng, 0.0), rng)
    expected = expect(read_ledger(ledger, place_of), SHIPPED_POLICY, undisturbed=True)
    assert all(one.score[0] == one.score[1] and one.must == one.may for one in expected.signals if "assessed" in one.outcomes)
    assert all(case.must == case.may for case in expected.cases.values())
    assert differences(expected, live) == []


def with_leads(planned: list[Planned]) -> list[Planned]:
    """What one institution sends are leads of organized crime about the same subjects."""
    return [
        replace(one, body={**{k: v for k, v in one.body.items() if k != "typology"}, "kind": "organized_crime"})
        if one.institution == "c3"
        else one
        for one in planned
    ]


@pytest.mark.parametrize("back", [0.0, 0.2])
def test_leads_that_are_kept_apart_are_nothing_wrong_and_one_that_is_not_is_found(tmp_path, back):
    rng, ledger = Random(5), tmp_path / "l.ndjson"
    planned = with_leads(stream(5, mix=CROWDED if back else NOBODYS))
    log = send(second_thoughts(planned, rng, back) if back else planned, ledger, rng, 0.0)
    live = Stage(Policy(SHIPPED_POLICY)).run(log, rng)
    expected = expect(read_ledger(ledger), SHIPPED_POLICY, undisturbed=True)
    assert said(expected, live) == ""
    leads = [one for one in live.cases.values() if set(one.kinds) == {"organized_crime"}]
    assert leads and all(set(one.institutions) == {"c3"} for one in leads)
    mixed = leads[0].model_copy(update={"kinds": (*leads[0].kinds, SignalKind.TELECOM_FRAUD), "institutions": ("a1", "c3")})
    assert "kinds" in said(expected, live._replace(cases={**live.cases, mixed.case_id: mixed}))


@pytest.fixture
def pair(tmp_path) -> tuple[Expected, Live]:
    return played(tmp_path, 11, 0.0)


def said(expected: Expected, live: Live) -> str:
    return "\n".join(str(one) for one in differences(expected, live))


def test_a_lost_signal_is_found(pair):
    expected, live = pair
    name = next(iter(live.receipts))
    assert "acknowledged and lost" in said(
        expected, live._replace(receipts={k: v for k, v in live.receipts.items() if k != name})
    )


def test_a_resend_that_counted_is_found(pair):
    expected, live = pair
    name = next(k for k, one in live.receipts.items() if one.outcome == "duplicate_content")
    wrong = live.receipts[name].model_copy(update={"outcome": "assessed", "score": 50, "severity": "medium"})
    assert "expected duplicate_content, found assessed" in said(expected, live._replace(receipts={**live.receipts, name: wrong}))


def test_a_signal_counted_twice_is_found_by_the_counters(pair):
    expected, live = pair
    name = next(one for one in live.counters if one.startswith("assessed:"))
    assert f"counter {name}" in said(expected, live._replace(counters={**live.counters, name: live.counters[name] + 1}))


def test_a_wrong_score_is_found(pair):
    expected, live = pair
    exact = next(one for one in expected.signals if one.outcomes == {"assessed"} and one.score[0] == one.score[1])
    name = next(iter(exact.identity.signal_ids))
    wrong = live.receipts[name].model_copy(update={"score": exact.score[0] + 1})
    assert "expected a score" in said(expected, live._replace(receipts={**live.receipts, name: wrong}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda case: {"signal_count": case.signal_count + 1}, "signals"),
        (lambda case: {"signal_count": 0}, "signals"),
        (lambda case: {"institutions": (*case.institutions, "zz")}, "institutions"),
        (lambda case: {"institutions": ()}, "institutions"),
        (lambda case: {"kinds": ()}, "kinds"),
        (lambda case: {"score": 100}, "score"),
        (lambda case: {"severity": "low"}, "severity"),
        (lambda case: {"amount_minor": {"CNY": 1}}, "CNY"),
        (lambda case: {"amount_minor": {**case.amount_minor, "EUR": 5}}, "EUR"),
    ],
)
def test_a_wrong_case_is_found(pair, change, words):
    expected, live = pair
    determined = {key for key, one in expected.cases.items() if one.must and len(one.must) == len(one.may) and one.score[1] < 100}
    case = next(
        one
        for one in live.cases.values()
        if (one.queue, next(iter(expected.primaries[one.primary_signal_id]))) in determined and one.amount_minor
    )
    wrong = case.model_copy(update=change(case))
    found = said(expected, live._replace(cases={**live.cases, case.case_id: wrong}))
    assert words in found
    assert found.startswith("case of ")


def test_a_missing_case_a_second_one_and_one_of_nobody_are_found(pair):
    expected, live = pair
    key, wanted = next((key, one) for key, one in expected.cases.items() if one.must)
    case = next(one for one in live.cases.values() if (one.queue, next(iter(expected.primaries[one.primary_signal_id]))) == key)
    without = {name: one for name, one in live.cases.items() if one is not case}
    assert f"expected a case with {len(wanted.must)}" in said(expected, live._replace(cases=without))
    second = case.model_copy(update={"case_id": "other"})
    assert "expected one case, found 2" in said(expected, live._replace(cases={**live.cases, "other": second}))
    nobody = case.model_copy(update={"case_id": "other", "primary_signal_id": "sig-nobody"})
    assert "a signal that nobody sent" in said(expected, live._replace(cases={**live.cases, "other": nobody}))
    assert differences(expected, live._replace(cases={**live.cases, "other": nobody}), partial=True) == []


@pytest.fixture
def second_thought(tmp_path) -> tuple[Expected, Live]:
    return played(tmp_path, 23, 0.0, back=0.2)


def test_a_signal_that_was_taken_back_and_says_nothing_of_it_is_found(second_thought):
    expected, live = second_thought
    assert said(expected, live) == ""
    gone = next(one for one in expected.signals if one.shown and one.outcomes == {"retracted"})
    name = next(iter(gone.identity.signal_ids))
    wrong = live.receipts[name].model_copy(update={"outcome": "assessed", "score": 50, "severity": "medium"})
    assert "expected retracted, found assessed" in said(expected, live._replace(receipts={**live.receipts, name: wrong}))


def test_a_case_that_counts_what_was_taken_back_is_found(second_thought):
    expected, live = second_thought
    emptied = next(one for one in live.cases.values() if not one.signal_count)
    wrong = emptied.model_copy(update={"signal_count": 1, "score": 60, "severity": "high"})
    found = said(expected, live._replace(cases={**live.cases, wrong.case_id: wrong}))
    assert "expected signals 0, found 1" in found and "expected score 0, found 60" in found


def test_a_corrected_amount_that_is_added_to_the_old_one_is_found(second_thought):
    expected, live = second_thought
    wanted = ((key, one) for key, one in expected.cases.items() if one.once and one.must and len(one.must) == len(one.may))
    key = next(key for key, one in wanted if one.amounts("CNY")[0])
    case = next(one for one in live.cases.values() if (one.queue, next(iter(expected.primaries[one.primary_signal_id]))) == key)
    wrong = case.model_copy(update={"amount_minor": {"CNY": case.amount_minor["CNY"] + 100}})
    assert "CNY (minor units)" in said(expected, live._replace(cases={**live.cases, case.case_id: wrong}))


def two_of_a_queue(expected: Expected, live: Live) -> tuple[Case, Case]:
    """Two cases of the same queue, the first with signals in it."""
    held = [one for one in live.cases.values() if one.signal_count]
    return next((one, other) for one in held for other in held if one is not other and one.queue == other.queue)


def merged(one: Case, into: Case) -> dict[str, Case]:
    """What a merge makes of two cases."""
    emptied = {"status": CaseStatus.MERGED, "merged_into": into.case_id, "signal_count": 0, "score": 0, "severity": "low"}
    gone = one.model_copy(update={**emptied, "kinds": (), "institutions": (), "amount_minor": {}, "signals": ()})
    currencies = (*one.amount_minor, *into.amount_minor)
    amounts = {name: one.amount_minor.get(name, 0) + into.amount_minor.get(name, 0) for name in currencies}
    worse = max(one, into, key=lambda case: case.score)
    together = {
        "signal_count": one.signal_count + into.signal_count,
        "score": worse.score,
        "severity": worse.severity,
        "kinds": tuple({*one.kinds, *into.kinds}),
        "institutions": tuple({*one.institutions, *into.institutions}),
        "amount_minor": amounts,
    }
    return {one.case_id: gone, into.case_id: into.model_copy(update=together)}


def test_a_merge_a_split_and_a_transfer_are_nothing_wrong(pair):
    expected, live = pair
    one, into = two_of_a_queue(expected, live)
    both = merged(one, into)
    assert said(expected, live._replace(cases={**live.cases, **both})) == ""
    left = into.model_copy(update={"signal_count": into.signal_count - 1, "amount_minor": {}})
    split_off = {"signal_count": 1, "case_id": f"{into.case_id}~1", "split_from": into.case_id}
    halves = {into.case_id: left, f"{into.case_id}~1": into.model_copy(update=split_off)}
    assert said(expected, live._replace(cases={**live.cases, **halves})) == ""
    moved = CaseTransfer.trusted(at=START, transferred_by="officer-a", from_queue=into.queue, to_queue="elsewhere")
    elsewhere = into.model_copy(update={"queue": "elsewhere", "transfers": (moved,)})
    assert said(expected, live._replace(cases={**live.cases, into.case_id: elsewhere})) == ""


def test_a_merge_that_counts_a_signal_in_both_cases_or_in_neither_is_found(pair):
    expected, live = pair
    one, into = two_of_a_queue(expected, live)
    both = merged(one, into)
    for count in (both[into.case_id].signal_count + 1, into.signal_count):
        wrong = both[into.case_id].model_copy(update={"signal_count": count})
        assert "signals" in said(expected, live._replace(cases={**live.cases, **both, into.case_id: wrong}))


def test_a_case_in_another_queue_without_a_transfer_is_found(pair):
    expected, live = pair
    _, case = two_of_a_queue(expected, live)
    wrong = case.model_copy(update={"queue": "elsewhere"})
    assert "elsewhere" in said(expected, live._replace(cases={**live.cases, case.case_id: wrong}))


def test_the_check_of_the_log_finds_a_signal_in_two_cases_of_a_family():
    one = opened_case()
    names = {f"{signal.signal_id}/{signal.version}" for signal in one.signals}
    split_off = one.model_copy(update={"case_id": "other", "split_from": one.case_id})
    assert list(of_family([one], {one.case_id: names})) == []
    found = "\n".join(of_family([one, split_off], {one.case_id: names}))
    assert f"counts {2 * len(names)} signals, {len(names)} that were routed" in found
    assert f"counts in {one.case_id}, other; 1 of them were sent it" in found
    assert "has no routed signal" in "\n".join(of_family([split_off], {one.case_id: names}))
