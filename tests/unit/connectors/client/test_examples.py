"""Each example runs against the real gateway app, twice: the second time everything is known, and nothing counts again."""

from __future__ import annotations

from pathlib import Path

from connectors.client.examples import bank, internet, payment, telecom
from schemas.topics import SUBMITTED
from tests.unit.connectors.client.conftest import Served


def test_the_banks_signal_gets_its_receipt_and_outcome(served: Served, capsys):
    found = bank.main(served.url, served.token("bank-001"))
    assert found is not None
    receipt, outcome = found
    assert (receipt.replayed, outcome.outcome, outcome.severity, outcome.routed) == (False, "assessed", "high", True)
    assert "before an agency" in capsys.readouterr().out
    again = bank.main(served.url, served.token("bank-001"))
    assert again is not None
    assert again[0] == receipt.model_copy(update={"replayed": True})
    assert served.references() == ["B001-CASE-2026-000123"]


def test_the_bank_is_told_what_to_correct(served: Served, capsys):
    assert bank.main(served.url, served.token("bank-001"), {**bank.STOPPED, "region": "1"}) is None
    assert "to be corrected at /region" in capsys.readouterr().out


async def test_the_payment_institutions_night_is_in_the_log_but_for_the_row_that_is_wrong(served: Served):
    token = served.token("pay-001")
    accepted, refused = await payment.main(served.url, token, count=1200, broken=700)
    assert (accepted, refused) == (1199, ["NIGHT-2026-11-24-000700"])
    assert len(set(served.references())) == len(served.log.all(SUBMITTED)) == 1199
    assert "/amount/currency" in (await _reasons(served, token))


async def _reasons(served: Served, token: str) -> str:
    from connectors.client import AsyncClient

    async with AsyncClient(served.url, token) as client:
        return " ".join([one.reason async for one in client.send_many(payment.findings(1, broken=0))])


def test_the_operators_numbers_count_once_a_day(served: Served, tmp_path: Path):
    token = tmp_path / "token"
    token.write_text(served.token("telecom-001") + "\n", "utf-8")
    assert telecom.main(served.url, token) == (40, 0)
    assert telecom.main(served.url, token) == (40, 40)
    assert len(served.references()) == 40


async def test_the_platform_hears_which_of_its_reports_count(served: Served, capsys):
    found = await internet.main(served.url, served.token("platform-001"))
    assert [report for report, outcome in found.items() if outcome and outcome.outcome == "assessed"] == ["U-501", "U-502"]
    assert found["U-503"] is None
    assert "U-503: 422" in capsys.readouterr().out
