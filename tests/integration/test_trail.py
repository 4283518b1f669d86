"""The money trail over the whole system: a planted chain of mules, reported by the banks of both ends, one hop of it in another
agency's queue; an order along it is posted as it was proposed."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from deploy.local.stack import Stack
from deploy.local.tokens import mint
from tests.bench.synthetic_fraud import Transfer, passed_on

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function")]
WAIT_S = 60
COUNTY, OTHER = "630202", "630222"
QUEUE, OTHERS = f"public-security-{COUNTY}", f"public-security-{OTHER}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack("trail", home=tmp_path_factory.mktemp("trail"), backoff_max_s=0.5, kafka_heap_mb=256) as found:
        yield found


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.gateway_url, timeout=WAIT_S) as found:
        yield found


def token(stack: Stack, subject: str, **claims: Any) -> dict[str, str]:
    return {"authorization": "Bearer " + mint(subject, home=Path(stack.places.home), profile=stack.profile, **claims)}


class Chain:
    """A victim's loss and the mules that pass it on; every account at a bank of its own."""

    def __init__(self) -> None:
        rng = Random(7)
        crew = list(range(5))
        moved = list(passed_on(rng, crew))
        lost = Transfer(moved[0].at_s - 300, 9, crew[0], moved[0].amount_minor + 50_000)
        self.begin = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=moved[-1].at_s - lost.at_s + 600)
        self.transfers = [one._replace(at_s=one.at_s - lost.at_s) for one in (lost, *moved)]
        prefix = secrets.randbelow(10**6)
        self.accounts = {n: f"62220{prefix:06d}{n:05d}" for n in (9, *crew)}

    def signals(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(bank, body): the banks of both ends report each transfer; that of the last hop lies in another county."""
        for number, one in enumerate(self.transfers):
            at = self.begin + timedelta(seconds=one.at_s)
            for bank, late_s in ((one.payer, 0), (one.payee, 2)):
                yield (
                    f"bank-{bank:03d}",
                    {
                        "reference": secrets.token_hex(8),
                        "kind": "telecom_fraud",
                        "stage": "paid" if number == 0 else "cash_out",
                        "occurred_at": (at + timedelta(seconds=late_s)).isoformat(),
                        "region": OTHER if number == len(self.transfers) - 1 else COUNTY,
                        "indicators": [],
                        "event": {
                            "type": "transfer",
                            "payer": self._end(one.payer, number),
                            "payee": self._end(one.payee, 1),
                            "amount": {"minor": one.amount_minor},
                        },
                    },
                )

    def _end(self, account: int, number: int) -> dict[str, str]:
        return {"kind": "account", "value": self.accounts[account], "role": "suspect" if number else "victim"}


async def until(what: str, holds: Any) -> Any:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if found := await holds():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {WAIT_S} s: {what}")


async def test_a_planted_chain_is_found_and_an_order_along_it_is_issued(stack: Stack, client: httpx.AsyncClient) -> None:
    chain = Chain()
    for bank, body in chain.signals():
        answer = await client.post("/v1/signals", json=body, headers=token(stack, bank))
        assert answer.status_code == 202, answer.text
    officer = token(stack, "officer-1", queues=["public-security-*"])

    async def found() -> str | None:
        body = {"kind": "account", "value": chain.accounts[0], "queue": QUEUE}
        cases = (await client.post("/v1/search", json=body, headers=officer)).json()["cases"]
        for case in cases:
            told = await trail(case["case_id"], officer)
            if len(told["hops"]) == len(chain.transfers) and told["starts"][0]["reason"] == "loss":
                return case["case_id"]
        return None

    async def trail(case_id: str, who: dict[str, str]) -> dict[str, Any]:
        answer = await client.get(f"/v1/cases/{case_id}/money-trail", headers=who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    case_id = await until("the whole chain is in cases", found)
    told = await trail(case_id, officer)
    loss = chain.transfers[0].amount_minor
    assert [(start["account"]["value"], start["amount"]["minor"]) for start in told["starts"]] == [(chain.accounts[9], loss)]
    by_value = {one["account"]["value"]: one for one in told["accounts"]}
    moved = [one.amount_minor for one in chain.transfers]
    for number, one in enumerate(chain.transfers):
        stop = by_value[chain.accounts[one.payee]]
        went_on = moved[number + 1] if number + 1 < len(moved) else 0
        assert (stop["depth"], stop["received_minor"], stop["forwarded_minor"]) == (number + 1, moved[number], went_on)
        assert (stop["remaining_minor"], stop["institution"]) == (moved[number] - went_on, f"bank-{one.payee:03d}")
    assert sum(one["remaining_minor"] for one in told["accounts"]) == loss
    assert told["partial"] == []
    assert all(hop["reported_by"] == 2 for hop in told["hops"])

    own = token(stack, "officer-2", queues=[QUEUE])
    narrow = await trail(case_id, own)
    hidden = [hop for hop in narrow["hops"] if hop["withheld"]]
    assert [hop["amount"]["minor"] for hop in hidden] == [moved[-1]]
    last = narrow["accounts"][-1]
    assert (last["withheld"], set(last["account"]), last["remaining_minor"]) == (True, {"token"}, moved[-1])

    order = next(one["order"] for one in told["orders"] if one["account"] == by_value[chain.accounts[3]]["account"]["token"])
    order["verify"]["name"] = "张三"
    claimed = await client.post(f"/v1/cases/{case_id}/claim", json={"revision": order["revision"]}, headers=officer)
    assert claimed.status_code == 200, claimed.text
    order["revision"] = claimed.json()["revision"]
    issued = await client.post(f"/v1/cases/{case_id}/orders", json=order, headers=officer)
    assert issued.status_code == 200, issued.text
    assert issued.json()["recipient"] == "bank-003"

    body = {"account": {"kind": "account", "value": chain.accounts[3]}, "balance": order["amount"]}
    back = await client.post(f"/v1/cases/{case_id}/refund", json=body, headers=officer)
    (share,) = back.json()["shares"]
    assert (share["account"]["value"], share["share_minor"]) == (chain.accounts[9], order["amount"]["minor"])
