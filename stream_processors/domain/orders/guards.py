"""Guards of orders: the reasons to refuse an event. One guard, one reason or a few related ones; None permits it.

Invariant: a guard changes nothing and depends on its step alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from schemas.orders.kinds import (
    ABOUT_ANOTHER,
    HOLDS,
    LETTERS,
    NAMES_AMOUNT,
    ORDER_KINDS,
    PAYS_BACK,
    REPLACING,
    REVERSIBLE,
    OrderKind,
)
from schemas.orders.order import LIVE, UNDONE, Order, OrderState
from schemas.refunds import NOTICED
from stream_processors.domain.orders.step import OrderStep, is_done, promised_minor, same_money, same_subject, times_used
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import done_between, iso

Guard = Callable[[OrderStep], Refusal | None]
LONGEST_ANSWER = timedelta(days=3660)
_RELEASABLE = (*UNDONE, OrderState.EXECUTED, OrderState.RENEWED, OrderState.EXPIRED)
"""States in which money may still be held. An expired order is one: its recipient may not have lifted the hold yet."""


def all_of(*guards: Guard) -> Guard:
    """The first refusal counts."""

    def guard(step: OrderStep) -> Refusal | None:
        return next((refused for check in guards if (refused := check(step)) is not None), None)

    return guard


def offered(step: OrderStep) -> Refusal | None:
    if step.rules is None:
        return Refusal("order-kind-not-enabled", f"the policy does not enable orders of the kind {step.order.kind}")
    return None


def other_person(step: OrderStep) -> Refusal | None:
    """Dual approval: the requester of an order may not approve it."""
    if step.actor.id == step.order.issued_by:
        return Refusal("second-approver-required", "a person other than the one who requested the order must approve it")
    return None


def other_person_renews(step: OrderStep) -> Refusal | None:
    """The requester alone may not renew an order that needed dual approval."""
    return other_person(step) if step.order.dual_approval else None


def says_what_its_kind_needs(step: OrderStep) -> Refusal | None:
    """An order must have the members that its kind requires."""
    order = step.order
    if order.kind not in LETTERS and order.subject is None:
        return Refusal("order-incomplete", "the order names no subject")
    if order.kind in LETTERS and order.text_sealed is None:
        return Refusal("order-incomplete", "the letter has no text")
    if order.answer_by is not None and order.answer_by <= step.now:
        return Refusal("order-incomplete", f"the answer would be due at {iso(order.answer_by)}, which is in the past")
    if order.answer_by is not None and order.answer_by > step.now + LONGEST_ANSWER:
        return Refusal("order-incomplete", f"an answer may not be due as late as {iso(order.answer_by)}")
    if missing := [field for field in order.verify_fields if order.verify is None or not order.verify.has(field)]:
        return Refusal("order-incomplete", f"the institution must compare {', '.join(missing)}, which the order does not contain")
    return None


def has_its_notice(step: OrderStep) -> Refusal | None:
    """A return with a public notice (frozen-fund return rules of 2016, Art. 8) must have one, given earlier or with it, and may
    not be due before the notice has ended."""
    order, draft, until = step.order, step.event.draft, step.notice_until
    if order.method not in NOTICED:
        return None
    if until is None:
        return Refusal(
            "order-kind-not-enabled", f"the policy permits no return {order.method}: 'public_notice_deadline' is missing"
        )
    if draft is not None and done_between(draft.public_notice_at, None, step.now) is None:
        return Refusal("order-incomplete", f"'public_notice_at' is {iso(draft.public_notice_at)}, which is in the future")
    if order.answer_by is not None and order.answer_by <= until:
        return Refusal("order-incomplete", f"the answer would be due before the public notice ends, at {iso(until)}")
    return None


def only_the_traced(step: OrderStep) -> Refusal | None:
    """A hold by amount: never above the traced amount, the arrived amount, or the replaced order's. It must name one of these: a
    hold without a bound could take a whole account."""
    order = step.order
    if order.kind not in HOLDS:
        return None
    if not order.amount_minor or order.currency is None:
        return Refusal("order-incomplete", "the order gives no amount to hold")
    if order.traced_minor is not None and order.amount_minor > order.traced_minor:
        return Refusal(
            "amount-exceeds-traced", f"an order may hold at most the traced amount, {order.traced_minor} in minor units"
        )
    target = step.target
    if target is not None and order.currency != target.currency:
        return Refusal("order-incomplete", f"the order {target.order_id} is in {target.currency}; use the same currency")
    transfers = [hold.verify for hold in (order, target) if hold is not None and hold.verify is not None]
    arrived = min((transfer.amount_minor for transfer in transfers if transfer.amount_minor is not None), default=None)
    if arrived is not None and order.amount_minor > arrived:
        return Refusal("amount-exceeds-traced", f"an order may hold at most the amount that arrived, {arrived} in minor units")
    if arrived is None and order.traced_minor is None:
        detail = "send a bound: 'traced_minor' (from the trail), the amount that arrived in 'verify', or the stop in 'of'"
        return Refusal("order-incomplete", detail)
    return None


def held_once(step: OrderStep) -> Refusal | None:
    """The same money is held by one order; a freeze replaces the stop that it names."""
    order = step.order
    if order.kind not in HOLDS:
        return None
    for other in step.others:
        if other.kind in HOLDS and other.state in LIVE and other.order_id != order.related_order_id and same_money(other, order):
            return Refusal("already-held", f"the order {other.order_id} holds this money; name it in 'of' to replace it")
    return None


def under_the_cap(step: OrderStep) -> Refusal | None:
    """Two stops for one account (银发〔2016〕86号), or as the policy sets: orders and renewals count together."""
    most = step.rules.max_per_subject if step.rules else None
    if most is None:
        return None
    order = step.order
    used = step.elsewhere + sum(
        times_used(other) for other in step.others if other.kind is order.kind and same_subject(other, order)
    )
    used += times_used(order) if is_done(order) else 0
    if used >= most:
        detail = f"an account may have {most} orders of the kind {order.kind}, renewals included; it had {used}"
        return Refusal(
            "account-limit-reached", f"{detail}, {step.elsewhere} of them in other cases" if step.elsewhere else detail
        )
    return None


def about_another(step: OrderStep) -> Refusal | None:
    """A release, a return, or a replacing freeze must match the order that it names."""
    order, target = step.order, step.target
    if order.kind not in ABOUT_ANOTHER and order.related_order_id is None:
        return None
    if target is None:
        return Refusal("unknown-order", f"the case has no order {order.related_order_id}")
    if order.kind in LETTERS:
        return None
    if order.recipient != target.recipient or not same_subject(order, target):
        return Refusal("unknown-order", f"the order {order.related_order_id} has another recipient or another subject")
    if order.kind is OrderKind.RELEASE:
        return _check_release(step)
    if order.kind in PAYS_BACK:
        return _check_return(step)
    if ORDER_KINDS[order.kind].replaces is not target.kind or target.state not in LIVE:
        return Refusal("transition-not-allowed", "only a freeze can replace another order, and only a stop that has not ended")
    if any(_is_release_of(other, target) for other in step.others):
        return Refusal("already-released", f"the order {target.order_id} is being released and cannot be replaced")
    lifted = sum(
        other.amount_minor or 0
        for other in step.others
        if other.partial and other.related_order_id == target.order_id and is_done(other)
    )
    if lifted and (order.amount_minor or 0) > (most := (target.amount_minor or 0) - lifted):
        return Refusal("amount-exceeds-traced", f"{lifted} of the hold was released; at most {most} in minor units can be held")
    return None


def _check_release(step: OrderStep) -> Refusal | None:
    target = step.target
    assert target is not None
    if target.kind not in REVERSIBLE or target.state not in _RELEASABLE:
        return Refusal("transition-not-allowed", f"the order {target.order_id} is {target.state}; there is nothing to release")
    if target.kind in HOLDS and (refused := _part_releasable(step, target)) is not None:
        return refused
    again = [other for other in step.others if _is_release_of(other, target) and (step.order.partial or not other.partial)]
    if again:
        return Refusal("already-released", f"this order already has the release {again[0].order_id}")
    return None


def _part_releasable(step: OrderStep, target: Order) -> Refusal | None:
    """The amount of a release must be a part of the hold that is not assigned otherwise."""
    order, draft = step.order, step.event.draft
    minor, named = order.amount_minor or 0, draft is not None and draft.amount_minor is not None
    if named and (not minor or order.currency != target.currency):
        detail = f"send the amount to release in {target.currency}; without an amount the release is full"
        return Refusal("order-incomplete", detail)
    if target.state in UNDONE and minor < (target.amount_minor or 0):
        detail = f"the order {target.order_id} holds nothing yet: release it in full, or wait until it holds money"
        return Refusal("amount-exceeds-held", detail)
    if not order.partial:
        return None
    if replacing := _in_its_place(target, step.others):
        detail = f"{replacing[0].order_id} is about to replace it: release a part of that one later, or this one in full"
        return Refusal("transition-not-allowed", detail)
    rest = target.held_minor - promised_minor(target, step.others)
    if minor > rest:
        return Refusal(
            "amount-exceeds-held", f"{rest} in minor units is held and not yet assigned; to release all of it, send no amount"
        )
    return None


def _in_its_place(target: Order, others: Iterable[Order]) -> list[Order]:
    """Freezes in progress that will hold the same money."""
    return [
        other
        for other in others
        if other.kind in REPLACING and other.related_order_id == target.order_id and other.state in LIVE and not is_done(other)
    ]


def _is_release_of(order: Order, target: Order) -> bool:
    """Whether it is a lasting release of it or, if partial, an unanswered one."""
    lasts = order.state in LIVE and not (order.partial and is_done(order))
    return order.kind is OrderKind.RELEASE and order.related_order_id == target.order_id and lasts


def _check_return(step: OrderStep) -> Refusal | None:
    order, target = step.order, step.target
    assert target is not None
    if target.kind is not ORDER_KINDS[order.kind].paid_from or not is_done(target):
        return Refusal("amount-exceeds-held", f"only frozen money can be returned; the order {target.order_id} is {target.state}")
    if not order.amount_minor or order.currency != target.currency:
        return Refusal("order-incomplete", "a return requires an amount in the currency of the freeze")
    if any(_is_release_of(other, target) for other in step.others):
        return Refusal("already-released", f"the order {target.order_id} is being released, so its money cannot be returned")
    rest = target.held_minor - promised_minor(target, step.others)
    if order.amount_minor > rest:
        return Refusal("amount-exceeds-held", f"{rest} in minor units is frozen and not yet assigned")
    return None


def compared(step: OrderStep) -> Refusal | None:
    """All fields must be compared. The institution's amount must equal the order's, else it is a mismatch."""
    order, event = step.order, step.event
    if missing := [field for field in order.verify_fields if field not in event.verified_fields]:
        return Refusal("not-verified", f"compare {', '.join(missing)} as well before you stop the payment")
    arrived = order.verify.amount_minor if order.verify else None
    if event.mismatched_fields or (event.credited_minor is not None and event.credited_minor != arrived):
        return Refusal("fields-mismatch", "a field differs, so the payment must not be stopped; answer with 'mismatch'")
    return None


def names_a_field(step: OrderStep) -> Refusal | None:
    if not set(step.event.mismatched_fields) & set(step.order.verify_fields):
        return Refusal("not-verified", "a mismatch must name a field from 'verify' that differs")
    return None


def gives_a_reason(step: OrderStep) -> Refusal | None:
    if step.event.reason is None:
        return Refusal("reason-missing", "send the reason why the order is not carried out")
    return None


def in_time(step: OrderStep) -> Refusal | None:
    order = step.order
    if order.valid_until is not None and step.now >= order.valid_until:
        detail = f"the order ended at {iso(order.valid_until)}; do not carry it out, and lift any hold that you placed"
        return Refusal("order-expired", detail)
    return None


def notice_has_ended(step: OrderStep) -> Refusal | None:
    """A pro rata return may be paid only after all payers had the time of the notice."""
    until = step.order.public_notice_until
    if until is not None and step.done_at < until:
        detail = f"a return {step.order.method} may not be paid before the public notice ends at {iso(until)}"
        return Refusal("public-notice-running", detail)
    return None


def done_when_it_could_be(step: OrderStep) -> Refusal | None:
    """Nothing can be executed before it was ordered, nor in the future."""
    issued = step.order.issued_at
    if done_between(step.event.done_at, issued, step.now) is None:
        return Refusal("time-out-of-range", f"'done_at' must be between {iso(issued)} and {iso(step.now)}")
    return None


def what_was_done(step: OrderStep) -> Refusal | None:
    """The proof that each kind requires."""
    order, event = step.order, step.event
    if order.kind in LETTERS and event.text_sealed is None:
        return Refusal("answer-missing", "send the answer to the letter in 'text'")
    if order.preserve_records and not event.records_kept:
        return Refusal("records-not-kept", "the records of a takedown must be kept (Art. 20); confirm it with 'records_kept'")
    if order.kind not in NAMES_AMOUNT:
        return None
    amount, most = event.amount_minor or 0, order.amount_minor or 0
    if not amount:
        return Refusal("amount-missing", "send the amount held or paid back, or answer 'failed' if there was nothing to hold")
    if amount > most or (event.credited_minor is not None and amount > event.credited_minor):
        return Refusal(
            "amount-exceeds-traced", f"at most {most} in minor units, and no more than arrived, may be held; lift the rest"
        )
    if order.kind in PAYS_BACK and (step.target is None or amount > step.target.held_minor):
        return Refusal("amount-exceeds-held", "the amount exceeds the money that is still frozen")
    return None


def paid_what_was_ordered(step: OrderStep) -> Refusal | None:
    order, amount = step.order, step.event.amount_minor or 0
    if order.kind in PAYS_BACK and not 0 < amount <= (order.amount_minor or 0):
        return Refusal("amount-missing", f"send the amount paid back, at most {order.amount_minor} in minor units")
    return None


def renewable(step: OrderStep) -> Refusal | None:
    """Not while a release is pending; a partial one leaves the rest, which may be renewed."""
    rules = step.rules
    if any(_is_release_of(other, step.order) and not other.partial for other in step.others):
        return Refusal("already-released", f"the order {step.order.order_id} is being released")
    if rules is not None and rules.renewals is not None and step.order.renewals >= rules.renewals:
        return Refusal(
            "account-limit-reached", f"an order of the kind {step.order.kind} can be renewed at most {rules.renewals} times"
        )
    return None


def run_out(step: OrderStep) -> Refusal | None:
    if step.order.valid_until is None or step.now < step.order.valid_until:
        return Refusal("not-due", f"the order lasts until {iso(step.order.valid_until)}")
    return None


def still_lasts(step: OrderStep) -> Refusal | None:
    return None if run_out(step) else Refusal("not-due", "the order has ended already")


def answer_is_due(step: OrderStep) -> Refusal | None:
    order = step.order
    if order.overdue or order.answer_by is None or step.now < order.answer_by:
        return Refusal("not-due", f"the answer is due at {iso(order.answer_by)}, and counts as overdue once")
    return None


def once(step: OrderStep) -> Refusal | None:
    if step.order.executed_at is not None:
        return Refusal("transition-not-allowed", "the order was already reported as carried out")
    return None


def not_lifted(step: OrderStep) -> Refusal | None:
    if step.order.lifted_at is not None:
        return Refusal("transition-not-allowed", "the release was already confirmed")
    return None


def frozen_enough(step: OrderStep) -> Refusal | None:
    if not step.event.amount_minor or step.event.amount_minor > step.order.held_minor:
        return Refusal("amount-exceeds-held", f"the order still holds {step.order.held_minor} in minor units")
    return None
