"""The money trail against a slow reading of it, coin by coin, and the sums that must hold whatever was reported."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import groupby
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.money_trail import Loss, Statement, Trail, TrailRules, TransferReport
from stream_processors.domain.money_trail.proposed_holds import holds
from stream_processors.domain.money_trail.trace import trace
from stream_processors.domain.money_trail.transfers import counted_once
from tests.support.builders import T0

ACCOUNTS = ["victim", "a", "b", "c", "d", "e"]
BANKS = ["bank-a", "bank-b", "bank-c"]


def _report(n: int, drawn: Any) -> TransferReport:
    (payer, payee), minor, second, bank, currency = drawn
    return TransferReport(
        signal_id=f"sig-{n}",
        institution=bank,
        at=T0 + timedelta(seconds=second),
        payer=payer,
        payee=payee,
        amount_minor=minor,
        currency=currency,
    )


ENDS = st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS)).filter(lambda ends: ends[0] != ends[1])
DRAWN = st.tuples(
    ENDS, st.integers(1, 12), st.integers(0, 12), st.sampled_from(BANKS), st.sampled_from(["CNY", "CNY", "CNY", "USD"])
)
REPORTS = st.lists(DRAWN, max_size=25).map(lambda drawn: [_report(n, one) for n, one in enumerate(drawn)])
STATEMENTS = st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.integers(0, 12), st.integers(0, 12)), max_size=4).map(
    lambda drawn: [
        Statement(account=name, at=T0 + timedelta(seconds=second), balance_minor=minor, currency="CNY")
        for name, second, minor in drawn
    ]
)
LOSSES = st.tuples(st.integers(1, 30), st.integers(0, 6)).map(
    lambda drawn: Loss(account="victim", at=T0 + timedelta(seconds=drawn[1]), amount_minor=drawn[0], currency="CNY")
)
RULES = st.builds(
    TrailRules,
    match_window_s=st.integers(0, 4),
    max_depth=st.integers(1, 5),
    max_fan_out=st.integers(1, 4),
    max_transfers=st.integers(1, 30),
)


def _play(loss: Loss, reports: list[TransferReport], rules: TrailRules, told: list[Statement]) -> Trail:
    return trace(loss, reports, rules=rules, statements=told)


def _slow_transfers(reports: list[TransferReport], window_s: int) -> list[tuple[Any, ...]]:
    """(at, payer, payee, minor, currency, nth): each report goes to the earliest transfer that its bank has not named."""
    found: list[tuple[Any, ...]] = []
    alike = sorted(reports, key=lambda one: (one.payer, one.payee, one.amount_minor, one.currency))
    for ends, group in groupby(alike, key=lambda one: (one.payer, one.payee, one.amount_minor, one.currency)):
        transfers: list[dict[str, Any]] = []
        for one in sorted(group, key=lambda one: (one.at, one.institution, one.signal_id)):
            if any(one.at in there.get(one.institution, ()) for there in transfers):
                continue
            fits = [
                there
                for there in transfers
                if one.institution not in there and one.at - there["at"] <= timedelta(seconds=window_s)
            ]
            if not fits:
                fits = [{"at": one.at}]
                transfers += fits
            fits[0][one.institution] = [one.at]
        found += [(there["at"], *ends, nth) for nth, there in enumerate(transfers)]
    return found


def _slow_order(transfers: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    ordered, left = [], sorted(transfers)
    while left:
        now = [one for one in left if one[0] == left[0][0]]
        payees = Counter(one[2] for one in now)
        first = next((one for one in now if not payees[one[1]]), now[0])
        ordered.append(first)
        left.remove(first)
    return ordered


def _slow_trace(loss: Loss, reports: list[TransferReport], rules: TrailRules, told: list[Statement]) -> dict[str, Any]:
    """Every minor unit is a coin in a row of coins: the depth of the loss's, None for others."""
    every = [one for one in _slow_order(_slow_transfers(reports, rules.match_window_s)) if one[4] == "CNY"]
    read, unread = every[: rules.max_transfers], every[rules.max_transfers :]
    rows: dict[str, list[int | None]] = {name: [] for name in ACCOUNTS}
    arrived, cut, gone = Counter[str](), Counter[tuple[str, str, str]](), Counter[str]()

    def kept(payer: str) -> list[str]:
        sums = Counter[str]()
        for at, one, payee, minor, *_ in read:
            if one == payer and at >= loss.at:
                sums[payee] += minor
        return sorted(sums, key=lambda payee: (-sums[payee], payee))[: rules.max_fan_out]

    def move(transfer: tuple[Any, ...]) -> None:
        _, payer, payee, minor, *_ = transfer
        coins = rows[payer][:minor]
        del rows[payer][: len(coins)]
        coins += [None] * (minor - len(coins))
        coins = sorted(coins, key=coins.index)
        landed: list[int | None] = []
        for coin in coins:
            if coin is None:
                landed.append(None)
            elif payee not in kept(payer):
                cut["fan_out", payer, payee] += 1
                landed.append(None)
            elif coin + 1 > rules.max_depth:
                cut["depth", payer, payee] += 1
                landed.append(None)
            else:
                arrived[payee] += 1
                landed.append(coin + 1)
        rows[payee] += sorted(landed, key=landed.index)

    instants = sorted({loss.at, *(one[0] for one in read), *(one.at for one in told)})
    for instant in instants:
        if instant == loss.at:
            rows["victim"] = [0] * loss.amount_minor + rows["victim"]
        for one in read:
            if one[0] == instant:
                move(one)
        for statement in told:
            if statement.at != instant or statement.account == "victim" or (unread and instant >= unread[0][0]):
                continue
            row = rows[statement.account]
            while len(row) > statement.balance_minor:
                if row.pop(0) is not None:
                    gone[statement.account] += 1
    return {
        "remaining": {name: sum(bool(coin) for coin in rows[name]) for name in arrived},
        "arrived": dict(arrived),
        "cut": dict(cut),
        "gone": dict(gone),
        "unpaid": sum(coin == 0 for coin in rows["victim"]),
        "unread": len(unread),
    }


@settings(max_examples=400)
@given(LOSSES, REPORTS, RULES, STATEMENTS)
def test_the_trail_is_what_counting_coins_gives(
    loss: Loss, reports: list[TransferReport], rules: TrailRules, told: list[Statement]
) -> None:
    trail, slow = _play(loss, reports, rules, told), _slow_trace(loss, reports, rules, told)
    assert {one.account: one.remaining_minor for one in trail.stops} == slow["remaining"]
    assert {one.account: one.received_minor for one in trail.stops} == slow["arrived"]
    assert {(one.limit, one.payer, one.payee): one.traced_minor for one in trail.cuts} == slow["cut"]
    assert {one.account: one.amount_minor for one in trail.unexplained if one.gap == "balance"} == slow["gone"]
    assert sum(one.amount_minor for one in trail.unexplained if one.gap == "no_report") == slow["unpaid"]
    assert trail.unread == slow["unread"]


@given(REPORTS, st.integers(0, 4))
def test_transfers_are_matched_and_ordered_as_the_slow_reading_does(reports: list[TransferReport], window_s: int) -> None:
    found = [one[:6] for one in counted_once(reports, window_s)]
    assert found == _slow_order(_slow_transfers(reports, window_s))


@given(LOSSES, REPORTS, RULES, STATEMENTS)
def test_remainders_cuts_and_what_is_unexplained_are_the_loss(
    loss: Loss, reports: list[TransferReport], rules: TrailRules, told: list[Statement]
) -> None:
    trail = _play(loss, reports, rules, told)
    rest = sum(one.remaining_minor for one in trail.stops)
    cut = sum(one.traced_minor for one in trail.cuts)
    assert rest + cut + sum(one.amount_minor for one in trail.unexplained) == loss.amount_minor
    for stop in trail.stops:
        assert stop.received_minor == stop.forwarded_minor + stop.unexplained_minor + stop.remaining_minor
        assert min(stop.forwarded_minor, stop.unexplained_minor, stop.remaining_minor) >= 0
        assert 1 <= stop.depth <= rules.max_depth
    assert all(hop.traced_minor <= hop.amount_minor for hop in trail.hops)


@given(LOSSES, REPORTS, RULES, STATEMENTS)
def test_no_hop_carries_more_than_had_come_before_it(
    loss: Loss, reports: list[TransferReport], rules: TrailRules, told: list[Statement]
) -> None:
    came, at = Counter({"victim": loss.amount_minor}), loss.at
    for hop in _play(loss, reports, rules, told).hops:
        assert hop.at >= at
        at = hop.at
        came[hop.payer] -= hop.traced_minor
        assert came[hop.payer] >= 0
        came[hop.payee] += hop.traced_minor


@given(LOSSES, REPORTS, RULES, STATEMENTS, st.randoms(use_true_random=False))
def test_the_order_and_the_repetition_of_reports_change_nothing(
    loss: Loss, reports: list[TransferReport], rules: TrailRules, told: list[Statement], shuffled: Any
) -> None:
    trail = _play(loss, reports, rules, told)
    mixed, said = [*reports, *reports[::2]], [*told, *told]
    shuffled.shuffle(mixed)
    shuffled.shuffle(said)
    assert _play(loss, mixed, rules, said) == trail


@given(LOSSES, REPORTS.filter(bool), RULES, st.data())
def test_a_report_of_the_other_end_changes_nothing_but_the_evidence(
    loss: Loss, reports: list[TransferReport], rules: TrailRules, data: Any
) -> None:
    one = data.draw(st.sampled_from(reports))
    name = data.draw(st.sampled_from(["0-bank", "zz-bank"]))
    again = one.model_copy(update={"signal_id": "sig-again", "institution": name})

    def figures(trail: Trail) -> Trail:
        hops = tuple(hop.model_copy(update={"evidence": (), "reported_by": 0}) for hop in trail.hops)
        return trail.model_copy(update={"hops": hops})

    assert figures(_play(loss, [*reports, again], rules, [])) == figures(_play(loss, reports, rules, []))


@given(
    LOSSES, REPORTS, RULES, st.dictionaries(st.sampled_from(ACCOUNTS), st.integers(0, 20)), st.integers(1, 9), st.integers(1, 3)
)
def test_what_is_held_never_exceeds_what_arrived_and_nothing_is_left_out_silently(
    loss: Loss, reports: list[TransferReport], rules: TrailRules, held: dict[str, int], least: int, most: int
) -> None:
    trail = _play(loss, reports, rules, [])
    told = holds(trail, keepers={}, held_minor=held, from_minor=least, most=most)
    stops = {one.account: one for one in trail.stops}
    every = [*told.order, *(one for one, _ in told.skipped)]
    assert len(every) == len({one.account for one in every})
    for one in every:
        assert one.amount_minor + held.get(one.account, 0) == stops[one.account].remaining_minor
        assert one.amount_minor <= stops[one.account].received_minor
    assert {one.account for one in every} == {
        name for name, one in stops.items() if name != "victim" and one.remaining_minor > held.get(name, 0)
    }
    assert len(told.order) <= most and all(one.amount_minor >= least for one in told.order)


def test_many_reports_of_one_amount_cost_one_step_each() -> None:
    """A circle of 3,000 transfers, each reported by three banks: seconds if the cost grew with the square."""
    drawn = [((ACCOUNTS[n % 6], ACCOUNTS[(n + 1) % 6]), 5, n // 3, bank, "CNY") for n in range(3000) for bank in BANKS]
    reports = [_report(n, one) for n, one in enumerate(drawn)]
    loss = Loss(account="victim", at=T0, amount_minor=10**6, currency="CNY")
    trail = trace(loss, reports, rules=TrailRules(match_window_s=86_400, max_depth=64))
    assert sum(hop.traced_minor for hop in trail.hops) and trail.unread == 0
