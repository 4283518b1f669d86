"""The worked example of docs/guide/money-trail.md is what the code gives."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from schemas.money_trail import Loss, Statement, Trail, TrailRules, TransferReport
from schemas.refunds import Frozen, Payment
from stream_processors.domain.money_trail.proposed_holds import holds
from stream_processors.domain.money_trail.refund import refund
from stream_processors.domain.money_trail.trace import trace
from tests.support.builders import T0, after

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "money-trail.md").read_text("utf-8")


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first column is called so."""
    lines = PAGE.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first} |")) + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def fen(yuan: str) -> int:
    return int(yuan) * 100


def trail_of(who: str, minute: int, yuan: int) -> Trail:
    reports = [
        TransferReport(
            signal_id=f"sig-{n}",
            institution=by,
            at=T0 + timedelta(minutes=int(time[3:])),
            payer=payer,
            payee=payee,
            amount_minor=fen(amount),
            currency="CNY",
        )
        for n, (time, payer, payee, amount, by) in enumerate(table("Time"))
    ]
    loss = Loss(account=who, at=after(minutes=minute), amount_minor=yuan * 100, currency="CNY")
    found = Statement(account="C", at=after(minutes=12), balance_minor=15_000_00, currency="CNY")
    return trace(loss, reports, rules=TrailRules(max_depth=2), statements=[found])


def test_the_trail_of_the_page_is_what_the_code_gives() -> None:
    trail = trail_of("victim", 0, 50_000)
    held = {one.account: one.amount_minor for one in holds(trail, keepers={}).order}
    rows = [
        [
            one.account,
            one.received_minor,
            one.forwarded_minor,
            one.unexplained_minor,
            one.remaining_minor,
            held.get(one.account, 0),
        ]
        for one in trail.stops
    ]
    assert rows == [[name, *map(fen, figures)] for name, *figures in table("Account")]
    assert [(one.limit, one.payee, one.traced_minor) for one in trail.cuts] == [("depth", "D", 12_000_00)]


def test_the_return_of_the_page_is_what_the_code_gives() -> None:
    frozen = Frozen(account="C", balance_minor=15_000_00, currency="CNY", public_notice_ends_at=T0)
    traced, untraced = [], []
    for payer, paid, there, *_ in table("Payer"):
        one = Payment(payment_id=payer, payer=payer, amount_minor=fen(paid), traced_minor=fen(there))
        traced.append(one)
        untraced.append(one.model_copy(update={"traced_minor": None}))
    for column, payments in ((3, traced), (4, untraced)):
        result = refund(frozen, payments, basis="basis", now=T0)
        assert result.rule == ("traced" if column == 3 else "pro_rata")
        assert result.payable
        assert {one.payer: one.share_minor for one in result.shares} == {row[0]: fen(row[column]) for row in table("Payer")}


def test_both_victims_trails_find_on_the_account_what_the_page_says() -> None:
    found = [trail_of("victim", 0, 50_000), trail_of("other", 2, 10_000)]
    there = [next(one.remaining_minor for one in trail.stops if one.account == "C") for trail in found]
    assert there == [fen(row[2]) for row in table("Payer")]
