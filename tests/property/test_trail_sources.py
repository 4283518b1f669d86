"""Several losses together, and what a trail is read from: whatever was reported, in any order."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.money_trail import TrailRules, TransferReport
from stream_processors.domain.money_trail.sources import ReportedTransfer, each_once, keepers, onward, starts
from stream_processors.domain.money_trail.trace import follow
from stream_processors.domain.money_trail.transfers import counted_once
from tests.property.test_trail import DRAWN, RULES, _report

REPORTS = st.lists(DRAWN, max_size=25).map(lambda drawn: [_report(n, one) for n, one in enumerate(drawn)])


def _told(reports: list[TransferReport]) -> list[ReportedTransfer]:
    return [ReportedTransfer(one, one.payer == "victim", one.institution != "bank-c") for one in reports]


@settings(max_examples=300)
@given(REPORTS, RULES)
def test_remainders_cuts_and_gaps_add_up_and_nothing_is_more_than_arrived(
    reports: list[TransferReport], rules: TrailRules
) -> None:
    known = counted_once(reports, rules.match_window_s)
    begun = starts("a", each_once(_told(reports)), known)
    for _, group in groupby(sorted(begun, key=lambda one: one.loss.currency), key=lambda one: one.loss.currency):
        losses = [one.loss for one in group]
        found = follow(losses, known, rules=rules)
        remaining = sum(one.remaining_minor for one in found.stops)
        cut = sum(one.traced_minor for one in found.cuts)
        gone = sum(one.amount_minor for one in found.unexplained)
        assert remaining + cut + gone == sum(one.amount_minor for one in losses)
        for stop in found.stops:
            assert 0 <= stop.remaining_minor <= stop.received_minor
            assert stop.received_minor == stop.forwarded_minor + stop.unexplained_minor + stop.remaining_minor
        assert all(0 < hop.traced_minor <= hop.amount_minor for hop in found.hops)


@given(REPORTS, RULES, st.randoms())
def test_the_order_in_which_cases_were_read_changes_nothing(
    reports: list[TransferReport], rules: TrailRules, random: Any
) -> None:
    mixed = [*reports, *reports]
    random.shuffle(mixed)
    one, other = each_once(_told(reports)), each_once(_told(mixed))
    assert one == other
    known = counted_once(reports, rules.match_window_s)
    assert starts("a", one, known) == starts("a", _shuffled(one, random), known)
    assert keepers(one) == keepers(_shuffled(one, random))
    transfers = counted_once((each.report for each in one), rules.match_window_s)
    assert onward(["a"], transfers, depth=3, fan_out=2) == onward(["a"], _shuffled(transfers, random), depth=3, fan_out=2)


def _shuffled(items: list[Any], random: Any) -> list[Any]:
    mixed = [*items]
    random.shuffle(mixed)
    return mixed


@given(REPORTS)
def test_who_keeps_an_account_is_one_that_reported_it(reports: list[TransferReport]) -> None:
    for account, keeper in keepers(_told(reports)).items():
        assert keeper.institution in {one.institution for one in reports if account in (one.payer, one.payee)}


@given(REPORTS, st.integers(1, 4), st.integers(1, 4))
def test_what_is_looked_at_next_is_bounded(reports: list[TransferReport], depth: int, fan_out: int) -> None:
    found = onward(["a"], counted_once(reports, 0), depth=depth, fan_out=fan_out)
    assert found[0] == "a"
    assert len(found) == len(set(found)) <= sum(fan_out**n for n in range(depth + 1))
