"""Completes the cases of the planted schemes over HTTP alone, as institutions and officers would: claim, warn, order, verify,
execute, dissuade, retract, appeal, release, dispose, feed back.

Invariant: `wrong` lists every deviation, and a step counts as done only if the gateway confirmed it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from connectors.contract import SignalAnswer
from deploy.demo.schemes import Scheme
from deploy.verify.ledger import Ledger

OFFICER, SECOND, REGULATOR = "officer-demo", "officer-second", "regulator-demo"
FIELDS = ("name", "account", "amount", "time")
_WAIT_S = 20.0


class NotAsExpected(RuntimeError):
    """A step that the gateway refused; the message is its response."""


@dataclass
class Walked:
    """The case of one scheme, and its deviations."""

    scheme: Scheme
    case_id: str
    wrong: list[str] = field(default_factory=list)
    trail: dict[str, Any] | None = None
    """The response of `GET /v1/cases/{case_id}/money-trail` on the way."""

    def must(self, holds: bool, fault: str) -> None:
        if not holds:
            self.wrong.append(f"{self.scheme.name}: {fault}")


class Walker:
    """`token` mints for an institution or an officer; `signal_ids` by (institution, reference). Retractions of institutions are
    written into their `ledger`, like their signals."""

    def __init__(
        self, client: httpx.AsyncClient, token: Callable[[str], str], signal_ids: dict[tuple[str, str], str], ledger: Ledger
    ) -> None:
        self._client, self._token, self._signal_ids, self._ledger = client, token, signal_ids, ledger

    async def get(self, who: str, path: str, **query: str | int) -> Any:
        return await self._send_request("GET", who, path, params=query)

    async def post(self, who: str, path: str, **body: Any) -> Any:
        """Returns the outcome; a request that is not decided within the gateway's wait is polled."""
        key = secrets.token_hex(8)
        while True:
            response = await self._send_request("POST", who, path, json=body, headers={"idempotency-key": key})
            if not (isinstance(response, dict) and response.get("status") == "pending"):
                return response
            await asyncio.sleep(0.5)

    async def _send_request(self, method: str, who: str, path: str, **more: Any) -> Any:
        headers = {"authorization": f"Bearer {self._token(who)}", **more.pop("headers", {})}
        answer = await self._client.request(method, path, headers=headers, timeout=_WAIT_S + 10, **more)
        if answer.status_code >= 400:
            raise NotAsExpected(f"{who}: {method} {path} was answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    async def case(self, case_id: str) -> Any:
        return await self.get(OFFICER, f"/v1/cases/{case_id}")

    async def claimed(self, case_id: str) -> Any:
        case = await self.case(case_id)
        return await self.post(OFFICER, f"/v1/cases/{case_id}/claim", revision=case["revision"])

    async def notice(self, who: str, says: str, about: str) -> Any:
        """Waits in the inbox for a notice with this sentence about an order, dissuasion or appeal."""
        after: dict[str, str] = {}
        deadline = asyncio.get_running_loop().time() + _WAIT_S
        while asyncio.get_running_loop().time() < deadline:
            page = await self.get(who, "/v1/inbox", wait_s=5, limit=50, **after)
            for item in page["items"]:
                if item["template"] == says and about in str(item):
                    await self.post(who, f"/v1/inbox/{item['notification_id']}/acknowledge")
                    return item
            after = {"after": page["next_cursor"]} if page.get("next_cursor") else after
        raise NotAsExpected(f"{who} had no notice {says} about {about} within {_WAIT_S:.0f} s")

    async def answer(self, who: str, order_id: str, result: str, **more: Any) -> Any:
        return await self.post(who, f"/v1/orders/{order_id}/answers", result=result, **more)

    async def order(self, case_id: str, kind: str, recipient: str, **more: Any) -> str:
        body = {"kind": kind, "recipient": recipient, "basis": "条例第二十二条", **more}
        return str((await self.post(OFFICER, f"/v1/cases/{case_id}/orders", **body))["order_id"])

    async def take_back(self, institution: str, reference: str, reason: str) -> None:
        journal = self._ledger.journal(institution)([{"reference": reference, "retract": reason}])
        journal.trying([0])
        response = await self.post(institution, "/v1/retractions", reference=reference, reason=reason)
        journal.answered(0, SignalAnswer("accepted", response["signal_id"], response["accepted_at"], response["receipt"]))
        journal.settled()

    async def disposed(self, case_id: str, disposition: str) -> Any:
        case = await self.claimed(case_id)
        return await self.post(OFFICER, f"/v1/cases/{case_id}/dispose", revision=case["revision"], disposition=disposition)

    def signal_of(self, scheme: Scheme, institution: str) -> str:
        return next(
            signal_id
            for report in scheme.reports
            if report.institution == institution and (signal_id := self._signal_ids.get((institution, report.reference)))
        )


def now() -> str:
    return datetime.now(UTC).isoformat()


def money(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "CNY"}


async def stopped(walker: Walker, scheme: Scheme, case_id: str) -> Walked:
    """The mule account: warned in vain, blocked, stopped after four fields were compared, another stop refused for a mismatch;
    the next victim dissuaded; confirmed, and every sender informed."""
    walked = Walked(scheme, case_id)
    sent = sorted({report.institution for report in scheme.reports})
    victim, holder, other = sent[0], sent[1], sent[2]
    deliveries = (await walker.get(OFFICER, "/v1/deliveries", case=case_id))["deliveries"]
    warned_early = {delivery["recipient"] for delivery in deliveries if delivery["template"] == "early_warning"}
    walked.must(bool(warned_early) and warned_early <= set(sent), f"warned early were {sorted(warned_early)}, of {sent}")
    for recipient in sorted(warned_early)[:1]:
        await walker.notice(recipient, "early_warning", case_id)
    reported = scheme.reports[0]
    signal = walker.signal_of(scheme, victim)
    await walker.claimed(case_id)
    warned = {"reference": f"w-{secrets.token_hex(4)}", "done_at": now(), "channel": "call", "reaction": "insisted"}
    await walker.post(victim, f"/v1/signals/{signal}/measures", kind="warned", **warned)
    blocked = {"reference": f"b-{secrets.token_hex(4)}", "done_at": now(), "target": "payment", "amount": money(1_000_000)}
    await walker.post(victim, f"/v1/signals/{signal}/measures", kind="blocked", **blocked)
    account = {"kind": scheme.subject[0], "value": scheme.subject[1]}
    amount = reported.amount_minor or 100
    when = reported.occurred_at.isoformat()
    verify = {"name": "李某", "account": scheme.subject[1], "amount": money(amount), "occurred_at": when}
    stop = await walker.order(case_id, "stop_payment", holder, subject=account, amount=money(amount - 100), verify=verify)
    notice = await walker.notice(holder, "order_issued", stop)
    walked.must(notice["order"]["verify"]["account"] == scheme.subject[1], "the bank was not told which account to compare")
    await walker.answer(holder, stop, "verified", verified_fields=FIELDS)
    await walker.answer(holder, stop, "executed", amount_minor=amount - 100, credited_minor=amount, done_at=now())
    trail = await walker.get(OFFICER, f"/v1/cases/{case_id}/money-trail")
    mule = next((traced for traced in trail["accounts"] if traced["account"]["value"] == scheme.subject[1]), None)
    paid = sum(report.amount_minor or 0 for report in scheme.reports)
    walked.must(mule is not None and mule["received_minor"] == paid, f"the trail does not show {paid} on the account")
    walked.must(mule is not None and mule["held_minor"] == amount - 100, "the trail does not show what is held")
    walked.trail = trail
    wrong = await walker.order(case_id, "stop_payment", other, subject=account, amount=money(amount), verify=verify)
    await walker.notice(other, "order_issued", wrong)
    answered = await walker.answer(other, wrong, "mismatch", mismatched_fields=("name",))
    walked.must(answered["state"] == "refused" and answered["held_minor"] == 0, "a mismatch was stopped")
    await _walk_dissuasion(walker, walked, {"kind": "account", "value": reported.victim_account}, (victim, holder))
    await walker.disposed(case_id, "confirmed")
    feedback = (await walker.get(victim, f"/v1/signals/{signal}"))["feedback"]
    first_feedback = feedback[0] if isinstance(feedback, list) else feedback
    walked.must(first_feedback.get("outcome") == "confirmed", "the sender was not told the outcome")
    walked.must(
        first_feedback["prevented_loss_minor"] == {"CNY": amount - 100},
        f"the sender reads {first_feedback['prevented_loss_minor']} as saved",
    )
    walked.must(first_feedback["corroborated_by"] == len(sent) - 1, "the sender was not told how many others reported")
    walked.must(not any(who in str(first_feedback) for who in sent), "feedback names who else reported")
    return walked


async def _walk_dissuasion(walker: Walker, walked: Walked, person: dict[str, str], who: tuple[str, str]) -> None:
    reach = [{"party": party, "party_type": "bank"} for party in who]
    dissuasion = await walker.post(OFFICER, f"/v1/cases/{walked.case_id}/dissuasions", person=person, reachable_by=reach)
    name = dissuasion["dissuasion_id"]
    await walker.notice(who[0], "dissuasion_requested", name)
    await walker.post(who[0], f"/v1/dissuasions/{name}/take")
    tried = {"channel": "call", "caller": "客户经理王某", "conversation": "这是冒充客服的骗局，请不要再转账。", "done_at": now()}
    done = await walker.post(
        who[0], f"/v1/dissuasions/{name}/attempts", **tried, result="convinced", prevented_loss_minor=500_000
    )
    walked.must(done["state"] == "dissuaded", f"the dissuasion is {done['state']}")


async def frozen(walker: Walker, scheme: Scheme, case_id: str) -> Walked:
    """The fund-raising account: a freeze with dual approval, which the requester cannot approve; executed and confirmed."""
    walked = Walked(scheme, case_id)
    bank, reported = scheme.reports[0].institution, scheme.reports[0]
    await walker.claimed(case_id)
    account = {"kind": scheme.subject[0], "value": scheme.subject[1]}
    amount = money(reported.amount_minor or 0)
    freeze = await walker.order(case_id, "freeze", bank, subject=account, amount=amount, traced_minor=amount["minor"])
    try:
        await walker.post(OFFICER, f"/v1/orders/{freeze}/approve")
        walked.wrong.append(f"{scheme.name}: the officer who asked for the freeze could agree to it")
    except NotAsExpected:
        pass
    await walker.post(SECOND, f"/v1/orders/{freeze}/approve")
    await walker.notice(bank, "order_issued", freeze)
    done = await walker.answer(bank, freeze, "executed", amount_minor=amount["minor"], done_at=now())
    walked.must(done["held_minor"] == amount["minor"], "the freeze holds another amount than was ordered")
    await walker.disposed(case_id, "confirmed")
    return walked


async def released(walker: Walker, scheme: Scheme, case_id: str) -> Walked:
    """The phone number turns out to be a courier's: appeal through the operator, notice, decision by another officer, release
    that reaches the operator; a false alarm, closed."""
    walked = Walked(scheme, case_id)
    operator = next(report.institution for report in scheme.reports if report.institution.startswith("telecom"))
    number = {"kind": scheme.subject[0], "value": scheme.subject[1]}
    await walker.claimed(case_id)
    order = await walker.order(case_id, "suspend_number", operator, subject=number)
    await walker.notice(operator, "order_issued", order)
    await walker.answer(operator, order, "executed", done_at=now(), records_kept=True)
    place = f"/v1/cases/{case_id}/appeals"
    appeal = {"text": "我是快递员，这是我的工作号码。", "orders": [order]}
    name = (await walker.post(operator, place, **appeal))["appeal_id"]
    await walker.post(operator, f"{place}/{name}/notice", text="已书面告知停机原因和申诉渠道。")
    await walker.post(SECOND, f"{place}/{name}/uphold", reasons="经核实为快递员号码，被冒用。")
    await walker.post(SECOND, f"{place}/{name}/release")
    case = await walker.case(case_id)
    release = next(issued["order_id"] for issued in case["orders"] if issued["kind"] == "release")
    await walker.notice(operator, "order_released", release)
    await walker.answer(operator, release, "executed", done_at=now())
    case = await walker.case(case_id)
    states = {issued["order_id"]: issued["state"] for issued in case["orders"]}
    walked.must(states[order] == "released", f"the suspension is {states[order]}, not released")
    walked.must(case["appeals"][0]["state"] == "completed", f"the appeal is {case['appeals'][0]['state']}")
    await walker.disposed(case_id, "false_positive")
    closed = await walker.post(OFFICER, f"/v1/cases/{case_id}/close", revision=(await walker.case(case_id))["revision"])
    walked.must(closed["phase"] == "closed", f"the case is {closed['phase']}")
    return walked


async def blocked(walker: Walker, scheme: Scheme, case_id: str) -> Walked:
    """The fake site: an operator blocks its address and keeps records. One of its reporters retracts: the operator is notified
    that nothing is to be undone, because the other reports still support the order."""
    walked = Walked(scheme, case_id)
    operator = next(report.institution for report in scheme.reports if report.institution.startswith("telecom"))
    await walker.claimed(case_id)
    site = {"kind": scheme.subject[0], "value": scheme.subject[1]}
    order = await walker.order(case_id, "block_domain", operator, subject=site)
    await walker.notice(operator, "order_issued", order)
    done = await walker.answer(operator, order, "executed", done_at=now(), records_kept=True)
    walked.must(done["state"] == "executed" and done["preserve_records"], "the block keeps no records")
    mistaken = next(report for report in scheme.reports if report.institution != operator)
    await walker.take_back(mistaken.institution, mistaken.reference, "客户核实后称系误报")
    back = (await walker.notice(operator, "retraction", case_id))["retraction"]
    walked.must(back["change"] == "retraction" and not back["reversals"], f"the operator was told {back}")
    await walker.disposed(case_id, "confirmed")
    return walked


WALKS: dict[str, Callable[[Walker, Scheme, str], Any]] = {
    "mule-account": stopped,
    "fake-site": blocked,
    "one-phone": released,
    "fund-raising": frozen,
}
"""Scheme -> its way through the loop."""


async def walk_all(walker: Walker, cases: dict[str, tuple[Scheme, str]]) -> list[Walked]:
    """`cases`: scheme name -> the scheme and its case."""
    walked = []
    for name, (scheme, case_id) in cases.items():
        try:
            walked.append(await WALKS[name](walker, scheme, case_id))
        except NotAsExpected as error:
            walked.append(Walked(scheme, case_id, [f"{name}: {error}"]))
    return walked
