"""The money trail of a case over HTTP, what another agency's case may tell, and the calculator of the return."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from gateway.services import Services
from schemas.cases.case import Case, CaseStatus
from schemas.orders.order import Order
from schemas.security.signal_protection import protect
from schemas.signals.submission import SignalIn
from stream_processors.domain.signals import decision as assess
from tests.support.builders import POLICY, nothing_known
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import QUEUE, T0, FakeViews, a_case

ELSEWHERE = "public-security-630222"
VICTIM, MULE, SECOND, THIRD, LAST = (f"622202100200{n:04d}" for n in range(5))
OTHER_VICTIM = "9900000000000001"
YUAN = 100


class Town:
    """Puts transfers into cases, as assess and track would."""

    def __init__(self, services: Services, views: FakeViews) -> None:
        self.services, self.views, self.reported = services, views, 0

    def token(self, account: str) -> str:
        return self.services.tokenizer.token("account", account)

    def case(self, name: str, *signals: Any, queue: str = QUEUE, **over: Any) -> Case:
        base = a_case(self.services.tokenizer, self.services.sealer, len(self.views.cases) + 1, queue=queue)
        first = signals[0]
        own = {"case_id": name, "signals": signals, "signal_count": len(signals), "primary_signal_id": first.signal_id}
        case = base.model_copy(update={**own, "primary_subject": first.subjects[0], **over})
        self.views.cases[name] = case
        return case

    def report(self, by: str, minute: int, payer: str, payee: str, yuan: int, currency: str = "CNY") -> Any:
        """A signal of a transfer, as its case lists it."""
        self.reported += 1
        at = T0.replace(minute=minute)
        role = "victim" if payer in (VICTIM, OTHER_VICTIM) else "suspect"
        event = {
            "type": "transfer",
            "payer": {"kind": "account", "value": payer, "role": role},
            "payee": {"kind": "account", "value": payee},
            "amount": {"minor": yuan * YUAN, "currency": currency},
        }
        body = SignalIn.model_validate(
            {"kind": "telecom_fraud", "occurred_at": at, "region": "630202", "event": event, "indicators": []}
        )
        tools = {"tokenizer": self.services.tokenizer, "sealer": self.services.sealer}
        signal = protect(body, institution=by, reference=f"r-{self.reported}", **tools)
        fact = assess.decide(signal, observed=nothing_known(signal), source="0:0", policy=POLICY, now=at, emitted=0)
        shared = {name: getattr(fact, name) for name in JOINED}
        return a_case(self.services.tokenizer, self.services.sealer).signals[0].model_copy(update=shared)


JOINED = ("signal_id", "institution", "kind", "occurred_at", "accepted_at", "amount_minor", "currency", "subjects", "event")


@pytest.fixture
def town(services: Services, views: FakeViews) -> Town:
    return Town(services, views)


@pytest.fixture
def chain(town: Town) -> Town:
    """A victim's 50,000 to a mule, 30,000 on to a second, 12,000 of it to a third, and a last one in another agency's case."""
    town.case(
        "case-1",
        town.report("bank-v", 0, VICTIM, MULE, 50_000),
        town.report("bank-a", 1, VICTIM, MULE, 50_000),
        town.report("bank-a", 5, MULE, SECOND, 30_000),
    )
    town.case("case-2", town.report("bank-b", 10, SECOND, THIRD, 12_000), town.report("bank-b", 5, MULE, SECOND, 30_000))
    town.case("case-3", town.report("bank-c", 20, THIRD, LAST, 2_000), queue=ELSEWHERE)
    return town


async def ask(client: Client, case: str = "case-1", queues: list[str] | None = None) -> dict[str, Any]:
    answer = await client("officer-1", queues=queues or ["public-security-*"]).get(f"/v1/cases/{case}/money-trail")
    assert answer.status_code == 200, answer.text
    return answer.json()


def remaining(told: dict[str, Any]) -> dict[str, int]:
    return {one["account"]["token"]: one["remaining_minor"] // YUAN for one in told["accounts"]}


async def test_a_loss_is_followed_over_the_accounts_of_several_cases(client: Client, chain: Town):
    told = await ask(client)
    (start,) = told["starts"]
    assert (start["account"]["value"], start["reason"], start["amount"]["minor"]) == (VICTIM, "loss", 50_000 * YUAN)
    hops = [(one["payer"], one["payee"], one["traced_minor"] // YUAN, one["reported_by"]) for one in told["hops"]]
    names = [chain.token(one) for one in (VICTIM, MULE, SECOND, THIRD, LAST)]
    assert hops == [(names[0], names[1], 50_000, 2), (names[1], names[2], 30_000, 2), (names[2], names[3], 12_000, 1),
                    (names[3], names[4], 2_000, 1)]  # fmt: skip
    assert remaining(told) == dict(zip(names[1:], [20_000, 18_000, 10_000, 2_000], strict=True))
    assert (told["partial"], told["other_currencies"], told["unexplained"], told["cuts"]) == ([], [], [], [])


async def test_nothing_is_ordered_on_an_account_that_is_nobodys(client: Client, town: Town):
    town.case("case-1", town.report("bank-a", 1, VICTIM, "UNKNOWN", 50_000))
    told = await ask(client)
    (proposal,) = told["orders"]
    assert "order" not in proposal and "subject" in proposal["missing"]
    named = {one["account"]["value"]: one["account"]["unmatched"] for one in told["accounts"]}
    assert named == {"UNKNOWN": "placeholder"}


async def test_who_keeps_each_account_is_told_with_how_it_is_known(client: Client, chain: Town):
    told = await ask(client)
    keepers = {one["account"]["value"]: (one.get("institution"), one.get("institution_known_from")) for one in told["accounts"]}
    assert keepers == {
        MULE: ("bank-a", "both_ways"),
        SECOND: ("bank-b", "both_ways"),
        THIRD: ("bank-c", "payers_bank"),
        LAST: (None, None),
    }


async def test_a_hop_of_another_agencys_case_is_accounts_and_amounts_alone(client: Client, chain: Town):
    told = await ask(client, queues=[QUEUE])
    hidden = told["hops"][-1]
    assert hidden["withheld"] is True
    assert set(hidden) == {"payer", "payee", "amount", "traced_minor", "depth", "withheld"}
    last = told["accounts"][-1]
    assert set(last) & {"institution", "institution_known_from", "first_at", "last_at"} == set()
    assert (last["withheld"], set(last["account"]), last["cases"]) == (True, {"token"}, [])
    assert last["remaining_minor"] == 2_000 * YUAN
    raw = json.dumps(told)
    assert "case-3" not in raw and "bank-c" not in raw and LAST not in raw
    (missing,) = [one for one in told["orders"] if one["account"] == last["account"]["token"]]
    assert ("order" in missing, missing["missing"]) == (False, ["recipient", "subject"])


async def test_every_account_with_money_left_has_an_order_that_can_be_posted(client: Client, chain: Town, views: FakeViews):
    officer = client("officer-1", queues=["public-security-*"])
    told = await ask(client)
    proposal = next(one for one in told["orders"] if one["account"] == chain.token(SECOND))
    assert proposal["missing"] == ["verify.name"]
    order = proposal["order"]
    assert (order["kind"], order["recipient"], order["amount"]["minor"]) == ("stop_payment", "bank-b", 18_000 * YUAN)
    assert order["verify"]["amount"]["minor"] == 30_000 * YUAN
    order["verify"]["name"] = "张三"
    views.cases["case-1"] = views.cases["case-1"].model_copy(
        update={"status": CaseStatus.CLAIMED, "holder": "officer-1", "lease_until": T0.replace(year=2099)}
    )
    issued = await officer.post("/v1/cases/case-1/orders", json=order)
    assert issued.status_code == 200, issued.text
    assert issued.json()["traced_minor"] == 18_000 * YUAN
    again = await ask(client)
    assert chain.token(SECOND) not in [one["account"] for one in again["orders"]]
    held = {one["account"]["token"]: one["held_minor"] for one in again["accounts"]}
    assert held[chain.token(SECOND)] == 18_000 * YUAN


async def test_money_of_several_payments_is_frozen_not_stopped(client: Client, town: Town):
    town.case(
        "case-1",
        *(town.report("bank-v", n, VICTIM, MULE, 1_000) for n in range(3)),
        town.report("bank-a", 9, MULE, SECOND, 1),
        town.report("bank-a", 8, VICTIM, MULE, 7),
    )
    order = next(one["order"] for one in (await ask(client))["orders"] if one["account"] == town.token(MULE))
    assert (order["kind"], order["amount"]["minor"]) == ("freeze", 3_006 * YUAN)
    assert "verify" not in order


async def test_a_case_without_a_victim_begins_with_what_came_to_its_account(client: Client, chain: Town):
    told = await ask(client, "case-2")
    assert {one["reason"] for one in told["starts"]} <= {"arrived", "left"}
    assert told["accounts"]


async def test_a_case_without_transfers_has_an_empty_trail(client: Client, services: Services, views: FakeViews):
    views.cases["case-1"] = a_case(services.tokenizer, services.sealer, 1)
    told = await ask(client)
    assert (told["starts"], told["hops"], told["accounts"], told["orders"], told["partial"]) == ([], [], [], [], [])


async def test_money_in_a_circle_ends(client: Client, town: Town):
    town.case(
        "case-1",
        town.report("bank-v", 0, VICTIM, MULE, 900),
        *(town.report("bank-a", n, *ends, 900) for n, ends in enumerate([(MULE, SECOND), (SECOND, MULE)] * 6, 1)),
    )
    told = await ask(client)
    left = sum(remaining(told).values()) + sum(cut["traced_minor"] for cut in told["cuts"]) // YUAN
    assert left == 900


async def test_what_was_not_read_is_told(client: Client, town: Town, views: FakeViews):
    town.case("case-1", town.report("bank-v", 0, VICTIM, MULE, 900), signal_count=40)
    for n in range(9):
        town.case(f"case-m{n}", town.report("bank-a", 20 + n, MULE, f"62220210030{n:05d}", 10))
    assert (await ask(client))["partial"] == ["cases", "signals"]


async def test_a_merged_case_leads_to_where_its_signals_are(client: Client, chain: Town, views: FakeViews):
    moved = views.cases["case-2"]
    views.cases["case-0"] = moved.model_copy(update={"case_id": "case-0"})
    views.cases["case-2"] = moved.model_copy(
        update={"signals": moved.signals[:1], "status": CaseStatus.MERGED, "merged_into": "case-0"}
    )
    assert len((await ask(client))["hops"]) == 4


async def test_who_may_not_read_the_case_gets_no_trail(client: Client, chain: Town):
    stranger = client("officer-2", queues=[ELSEWHERE])
    assert (await stranger.get("/v1/cases/case-1/money-trail")).status_code == 404
    assert (await stranger.post("/v1/cases/case-1/refund", json=refund_of(MULE, 1))).status_code == 404
    assert (await client("bank-a").get("/v1/cases/case-1/money-trail")).status_code == 403
    assert (await client("officer-1").get("/v1/cases/case-9/money-trail")).status_code == 404


async def test_reading_a_trail_is_recorded_without_values(client: Client, chain: Town, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "liandong.audit"):
        await ask(client)
    line = json.loads(caplog.messages[-1])
    assert (line["what"], line["case"], line["who"]) == ("trail", "case-1", "officer-1")
    assert MULE not in caplog.text


async def test_while_the_views_are_rebuilt_the_answer_is_503(client: Client, chain: Town, views: FakeViews):
    views.rebuilding = True
    assert (await client("officer-1").get("/v1/cases/case-1/money-trail")).status_code == 503


def refund_of(account: str, yuan: int, **over: Any) -> dict[str, Any]:
    return {"account": {"kind": "account", "value": account}, "balance": {"minor": yuan * YUAN}, **over}


async def reckon(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client("officer-1", queues=["public-security-*"]).post("/v1/cases/case-1/refund", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_one_victims_money_goes_straight_back(client: Client, chain: Town):
    told = await reckon(client, refund_of(SECOND, 18_000))
    (share,) = told["shares"]
    assert (told["rule"], share["share_minor"], share["account"]["value"]) == ("one_payer", 18_000 * YUAN, VICTIM)
    assert (told["payable"], told["undistributed_minor"], told["from_trail"], told["partial"]) == (True, 0, True, [])
    assert all(step["zh"] and step["en"] and step["basis"] for step in told["steps"])


async def test_a_victim_of_another_case_shares_in_what_is_left(client: Client, chain: Town):
    chain.case("case-7", chain.report("bank-o", 2, OTHER_VICTIM, MULE, 10_000))
    told = await reckon(client, refund_of(MULE, 30_000))
    assert {one["account"]["value"]: one["share_minor"] // YUAN for one in told["shares"]} == {
        VICTIM: 20_000,
        OTHER_VICTIM: 10_000,
    }
    assert told["rule"] == "traced"
    unseen = chain.views.cases["case-7"].model_copy(update={"queue": ELSEWHERE})
    chain.views.cases["case-7"] = unseen
    alone = await client("officer-1", queues=[QUEUE]).post("/v1/cases/case-1/refund", json=refund_of(MULE, 30_000))
    assert (alone.json()["partial"], len(alone.json()["shares"])) == (["withheld"], 1)
    assert OTHER_VICTIM not in alone.text


async def test_the_calculator_answers_for_accounts_of_ones_own_cases_alone(client: Client, chain: Town):
    """Else it would say of any account whether another unit's case leads to it."""
    alone = client("officer-1", queues=[QUEUE])
    for account in (LAST, OTHER_VICTIM):
        answer = await alone.post("/v1/cases/case-1/refund", json=refund_of(account, 1))
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (404, "unknown-account")
        assert account not in answer.text


async def test_what_was_paid_back_is_not_to_be_held_again(client: Client, chain: Town, views: FakeViews):
    mule = next(one for one in views.cases["case-1"].signals[0].subjects if one.token == chain.token(MULE))
    made = {"order_id": "o-1", "kind": "return_funds", "case_id": "case-1", "agency": QUEUE, "recipient": "bank-a"}
    more = {"state": "executed", "issued_by": "officer-1", "drafted_at": T0, "executed_at": T0, "currency": "CNY"}
    back = Order.model_validate({**made, **more, "subject": mule, "paid_minor": 20_000 * YUAN})
    views.cases["case-1"] = views.cases["case-1"].model_copy(update={"orders": (back,)})
    told = await ask(client)
    stop = next(one for one in told["accounts"] if one["account"]["value"] == MULE)
    assert (stop["remaining_minor"], stop["held_minor"], stop["returned_minor"]) == (20_000 * YUAN, 0, 20_000 * YUAN)
    assert chain.token(MULE) not in [one["account"] for one in told["orders"]]


async def test_payments_of_the_officers_file_are_reckoned_as_they_are(client: Client, chain: Town):
    payments = [{"payer": "甲", "amount_minor": 300}, {"payer": "乙", "amount_minor": 100}]
    told = await reckon(client, refund_of(MULE, 2, payments=payments))
    assert (told["rule"], told["payable"], told["from_trail"]) == ("pro_rata", False, False)
    assert {one["payer"]: one["share_minor"] for one in told["shares"]} == {"甲": 150, "乙": 50}
    over = await reckon(client, refund_of(MULE, 2, payments=payments, public_notice_ends_at="2026-01-01T00:00:00Z"))
    assert over["payable"] is True


@pytest.mark.parametrize(
    "over",
    [
        {"payments": []},
        {"payments": [{"payer": "x", "amount_minor": 0}]},
        {"payments": [{"payer": "x", "amount_minor": 1}] * 1001},
        {"balance": {"minor": -1}},
        {"account": {"kind": "account", "value": "\ud800"}},
        {"more": 1},
    ],
)
async def test_a_body_that_makes_no_sense_is_422(client: Client, chain: Town, over: dict[str, Any]):
    body = json.dumps({**refund_of(MULE, 1), **over})
    headers = {"Content-Type": "application/json"}
    answer = await client("officer-1").post("/v1/cases/case-1/refund", content=body, headers=headers)
    assert answer.status_code == 422, answer.text


async def test_an_institution_that_answered_is_believed(client: Client, chain: Town, views: FakeViews):
    subject = views.cases["case-2"].signals[0].subjects
    third = next(one for one in subject if one.token == chain.token(THIRD))
    made = {"order_id": "o-1", "kind": "freeze", "case_id": "case-1", "agency": QUEUE, "recipient": "bank-x", "state": "executed"}
    done = Order.model_validate(
        {**made, "issued_by": "officer-1", "drafted_at": T0, "executed_at": T0, "subject": third, "held_minor": 400 * YUAN}
        | {"currency": "CNY"}
    )
    views.cases["case-1"] = views.cases["case-1"].model_copy(update={"orders": (done,)})
    told = await ask(client)
    stop = next(one for one in told["accounts"] if one["account"]["value"] == THIRD)
    assert (stop["institution"], stop["institution_known_from"], stop["held_minor"]) == ("bank-x", "answered_order", 400 * YUAN)
    order = next(one["order"] for one in told["orders"] if one["account"] == chain.token(THIRD))
    assert (order["recipient"], order["amount"]["minor"]) == ("bank-x", 9_600 * YUAN)
