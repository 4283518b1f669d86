"""Builders of orders, measures and dissuasions, at T0, by the shipped policy's rules."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from typing import Any

from schemas.deadlines import Length
from schemas.dissuasion import Attempt, Dissuasion, DissuasionDraft, DissuasionEvent, Reach
from schemas.measures import Measure
from schemas.orders.order import Order, OrderDraft, OrderEvent, Verify
from schemas.orders.policy import OrderRules
from schemas.signals.subjects import Subject
from stream_processors.domain import dissuasion
from stream_processors.domain.orders import order_book as orders
from stream_processors.domain.state_machine import Ends
from tests.support.builders import POLICY, T0, after

RULES = POLICY.orders
OFFICER, SECOND, BANK, STAGE = "officer:officer-a", "officer:officer-b", "institution:bank-001", "stage:timekeeper"
FIELDS = ("name", "account", "amount", "time")


def ends(start: datetime, length: Length | str) -> datetime:
    """Without holidays: Monday to Friday are working days."""
    if isinstance(length, str):
        rule = POLICY.deadlines.rule(length)
        assert rule is not None
        length = rule.length
    if length.months:
        year, month = divmod(start.month - 1 + length.months, 12)
        last = calendar.monthrange(start.year + year, month + 1)[1]
        return start.replace(year=start.year + year, month=month + 1, day=min(start.day, last))
    if not length.working_days:
        return start + timedelta(minutes=length.minutes or 0, hours=length.hours or 0, days=length.days or 0)
    moment, left = start, length.working_days
    while left:
        moment += timedelta(days=1)
        left -= moment.weekday() < 5
    return moment


_ENDS: Ends = ends


def subject(number: int = 1, role: str = "suspect") -> Subject:
    return Subject(kind="account", role=role, token=f"k1.account-{number}", sealed=f"k1.sealed-{number}")


def transfer(minor: int = 1_000_000, number: int = 0) -> Verify:
    """What arrived: 10,000 yuan, an hour before T0."""
    sealed = {"name_sealed": "k1.name", "account_sealed": "k1.account"}
    return Verify(**sealed, amount_minor=minor, occurred_at=after(hours=-1, minutes=-number))


def draft(kind: str = "stop_payment", order_id: str = "ord-1", **over: Any) -> OrderDraft:
    """What an officer asks of bank-001; each kind gets what it needs."""
    fields: dict[str, Any] = {
        "order_id": order_id,
        "kind": kind,
        "case_id": "case-1",
        "agency": "public-security-630202",
        "recipient": "bank-001",
    }
    if kind in ("stop_payment", "freeze"):
        fields |= {"verify": transfer(), "amount_minor": 800_000, "currency": "CNY"}
    if kind in ("request_information", "supervision_letter"):
        fields["text_sealed"] = "k1.text"
    elif kind not in ("release", "return_funds"):
        fields["subject"] = subject()
    return OrderDraft.model_validate({**fields, **over})


def event(kind: str, order_id: str = "ord-1", **over: Any) -> OrderEvent:
    return OrderEvent.model_validate({"event_id": f"act-{kind}-{order_id}", "order_id": order_id, "kind": kind, **over})


def issue(kind: str = "stop_payment", order_id: str = "ord-1", **over: Any) -> OrderEvent:
    return event("issue", order_id, draft=draft(kind, order_id, **over))


ANSWERS: dict[str, dict[str, Any]] = {
    "verify": {"verified_fields": FIELDS},
    "mismatch": {"mismatched_fields": ("name",)},
    "execute": {"amount_minor": 800_000, "records_kept": True, "text_sealed": "k1.answer"},
    "refuse": {"reason": "no_basis"},
    "fail": {"reason": "no_funds"},
}


class Desk:
    """The orders of one case, played step by step; what was said on the way is kept."""

    def __init__(self, rules: OrderRules = RULES) -> None:
        self.orders: tuple[Order, ...] = ()
        self.rules = rules
        self.now = T0
        self.changes: list[orders.OrdersChange] = []

    def do(self, one: OrderEvent, actor: str = OFFICER, now: datetime | None = None) -> orders.OrdersChange:
        self.now = now or self.now
        change = orders.decide(orders=self.orders, event=one, actor=actor, rules=self.rules, now=self.now, ends=_ENDS)
        self.orders = change.orders
        self.changes.append(change)
        return change

    def answer(self, kind: str, order_id: str = "ord-1", now: datetime | None = None, **over: Any) -> orders.OrdersChange:
        return self.do(event(kind, order_id, **{**ANSWERS.get(kind, {}), **over}), BANK, now)

    def order(self, order_id: str = "ord-1") -> Order:
        return next(one for one in self.orders if one.order_id == order_id)

    def executed(self, kind: str = "stop_payment", order_id: str = "ord-1", **over: Any) -> Order:
        """Issued, approved if need be, compared, carried out."""
        self.do(issue(kind, order_id, **over))
        if self.order(order_id).state == "awaiting_approval":
            self.do(event("approve", order_id), SECOND)
        if self.order(order_id).verify_fields:
            self.answer("verify", order_id)
        change = self.answer("execute", order_id, amount_minor=self.order(order_id).amount_minor)
        assert change.refused is None, change.refused
        return self.order(order_id)


def measure(kind: str = "warned", measure_id: str = "m-1", **over: Any) -> Measure:
    fields: dict[str, Any] = {"measure_id": measure_id, "institution": "bank-001", "kind": kind, "done_at": T0, "recorded_at": T0}
    if kind == "warned":
        fields |= {"channel": "call", "reaction": "heeded"}
    if kind == "blocked":
        fields |= {"target": "payment", "amount_minor": 500_000, "currency": "CNY"}
    return Measure.model_validate({**fields, **over})


REACH = (
    Reach(party="bank-001", party_type="bank"),
    Reach(party="telecom-001", party_type="telecom"),
    Reach(party="police-station-ledu", party_type="police_station"),
)


def ask(**over: Any) -> DissuasionEvent:
    fields = {
        "dissuasion_id": "dissuasion-1",
        "case_id": "case-1",
        "agency": "public-security-630202",
        "person": subject(9, "victim"),
    }
    made = DissuasionDraft.model_validate({**fields, "reachable_by": REACH, **over})
    return DissuasionEvent(event_id="act-ask", dissuasion_id="dissuasion-1", kind="ask", draft=made)


def dissuasion_event(kind: str, result: str | None = None, at: datetime = T0, **over: Any) -> DissuasionEvent:
    attempt = None
    if result is not None:
        attempt = Attempt.model_validate(
            {
                "attempt_id": "try-1",
                "party": "anybody",
                "party_type": "bank",
                "channel": "call",
                "at": at,
                "done_at": at,
                "result": result,
            }
        )
    return DissuasionEvent.model_validate(
        {"event_id": f"act-{kind}", "dissuasion_id": "dissuasion-1", "kind": kind, "attempt": attempt, **over}
    )


def asked() -> Dissuasion:
    change = dissuasion.decide(dissuasion=None, event=ask(), actor=OFFICER, now=T0)
    assert change.dissuasion is not None
    return change.dissuasion
