"""The score: more evidence never lowers it, it is the sum of its reasons, and the severity follows from it alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.signals.taxonomy import SignalKind
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.leads import match_name
from stream_processors.domain.signals.routing import case_id, routes
from stream_processors.domain.signals.scoring import score, severity
from tests.support.builders import POLICY, account, phone, submitted

SIGNALS = [submitted(kind=kind) for kind in SignalKind]
SIGNAL = st.sampled_from(SIGNALS)
COUNT = st.integers(1, 50)
AMOUNT = st.none() | st.integers(0, 10**15)


@given(SIGNAL, COUNT, COUNT, COUNT, COUNT, AMOUNT, st.integers(0, 10**9))
def test_more_of_anything_never_lowers_the_score(signal, sightings, more, parties, others, amount, richer) -> None:  # type: ignore[no-untyped-def]
    poorer = signal.model_copy(update={"amount_minor": amount})
    low, _ = score(poorer, Features(sightings, parties), POLICY)
    assert score(poorer, Features(sightings + more, parties), POLICY)[0] >= low
    assert score(poorer, Features(sightings, parties + others), POLICY)[0] >= low
    assert (
        score(signal.model_copy(update={"amount_minor": (amount or 0) + richer}), Features(sightings, parties), POLICY)[0] >= low
    )


@given(SIGNAL, COUNT, COUNT, AMOUNT)
def test_the_score_is_the_sum_of_its_reasons_up_to_a_hundred(signal, sightings, parties, amount) -> None:  # type: ignore[no-untyped-def]
    points, reasons = score(signal.model_copy(update={"amount_minor": amount}), Features(sightings, parties), POLICY)
    assert points == min(100, sum(reason.points for reason in reasons))
    assert 0 <= points <= 100
    assert all(reason.points > 0 and reason.evidence for reason in reasons)
    assert len({reason.rule for reason in reasons}) == len(reasons)


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_higher_score_is_never_less_severe(one: int, other: int) -> None:
    order = ["none", *sorted(POLICY.severities, key=lambda name: POLICY.severities[name])]
    low, high = sorted((one, other))
    assert order.index(severity(low, POLICY)) <= order.index(severity(high, POLICY))


@given(SIGNAL, st.integers(0, 100), st.sets(st.sampled_from(["public-security-630200", "financial-regulator-630200"])))
def test_routes_depend_on_the_score_and_the_known_queues_alone(signal, points, queues) -> None:  # type: ignore[no-untyped-def]
    found = routes(signal, points, queues, POLICY)
    assert found == routes(signal, points, set(queues), POLICY)
    assert len({route.queue for route in found}) == len(found)
    assert {route.case_id for route in found} == {
        case_id(route.queue, match_name(signal.primary.token, signal.kind)) for route in found
    }
    if points >= POLICY.case_threshold:
        assert found


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_one_subject_is_one_case_whoever_reports_it(one: int, other: int) -> None:
    first = submitted("bank-001", "x", indicators=[account(one), phone(other)])
    second = submitted("telecom-1", "y", indicators=[phone(other), account(one)], narrative=None)
    assert first.primary.token == second.primary.token
    assert case_id("q", first.primary.token) == case_id("q", second.primary.token)
    assert case_id("q", first.primary.token) != case_id("other", first.primary.token)
