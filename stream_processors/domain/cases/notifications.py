"""Who is told what because a case is another one now: feedback, early warnings, reports that were taken back. Pure.

Feedback is read with the signal at any time (domain/feedback.py); it is sent only when the outcome, what was done or the amount
changed. Invariant: who acted on a report, or was warned, is told when it is taken back; nobody learns whose report it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from schemas.cases.case import ActionKind, Case
from schemas.feedback import TakenBack
from schemas.measures import MeasureKind
from schemas.notices import Notice, NoticeKind
from schemas.orders.order import OrderKind, OrderState
from stream_processors.domain.cases.step import Step
from stream_processors.domain.notifications.early_warning import early_warning
from stream_processors.domain.notifications.feedback import Handling, feedback
from stream_processors.domain.notifications.notification import Told
from stream_processors.domain.notifications.reversals import Executed, taken_back
from stream_processors.domain.orders.step import is_unlifted
from stream_processors.domain.signals.imitation import imitated
from stream_processors.domain.signals.leads import is_lead, visible_reporters

_KINDS: dict[str, tuple[NoticeKind, str]] = {
    "feedback": (NoticeKind.FEEDBACK, "feedback"),
    "early_warning": (NoticeKind.EARLY_WARNING, "warning"),
    "taken_back": (NoticeKind.RETRACTION, "taken_back"),
    "objection": (NoticeKind.OBJECTION, "objection"),
}
"""Sort of what is told -> the notice's kind, and its field that holds the whole."""
_DID: dict[OrderKind, str] = {
    OrderKind.STOP_PAYMENT: "stop_payment",
    OrderKind.FREEZE: "freeze",
    OrderKind.SUSPEND_NUMBER: "number_suspension",
    OrderKind.BLOCK_DOMAIN: "domain_blocking",
    OrderKind.BLOCK_APP: "app_blocking",
    OrderKind.RETURN_FUNDS: "return_of_funds",
}
_STANDS = frozenset({OrderState.EXECUTED, OrderState.RENEWED})
_OVER = frozenset({OrderState.EXPIRED, OrderState.RELEASED})


def told(before: Case | None, after: Case, step: Step) -> tuple[Notice, ...]:
    """The notices that follow from the change itself, whatever made it."""
    found: list[Told] = []
    kind = step.action.kind
    if kind in (ActionKind.JOIN, ActionKind.ABSORB):
        holders = frozenset() if before is None else frozenset(one.institution for one in standing(before))
        found += early_warning(before, after, holders=holders)
    if before is not None:
        was, now = handling(before), handling(after)
        if before.disposition != after.disposition or _acted(was) != _acted(now) or _judged(before, after):
            found += feedback(before, after, was=was, handling=now)
        if kind is ActionKind.RETRACT:
            found += _taken_back(before, after, step)
    signal = step.action.signal if kind is ActionKind.JOIN else None
    owners = () if signal is None else imitated(signal, before, step.policy, step.now)
    return (*noticed(found, step), *owners)


def _acted(one: Handling) -> tuple[object, ...]:
    return one.acts, one.saved_minor


def _taken_back(before: Case, after: Case, step: Step) -> Iterable[Told]:
    gone, executed = step.action.withdrawn, standing(before)
    corrected = gone is not None and any(one.signal_id == gone.signal_id and one.version > gone.version for one in after.signals)
    warned = visible_reporters(before)
    found = taken_back(
        after,
        change="correction" if corrected else "retraction",
        executed=executed,
        warned=warned if len(warned) > 1 else frozenset(),
        supported_minor=_supported(executed, after),
    )
    # That a lead of organized crime was taken back is for the agency alone: others would learn that there was one.
    return [one for one in found if one.recipient == after.queue] if gone is not None and is_lead(gone.kind) else found


def _supported(executed: Iterable[Executed], after: Case) -> dict[str, int]:
    """How much of what each order holds the reports that are left bear out, the first order first. Of a currency in which none of
    them names an amount nothing is known."""
    left, found = dict(after.amount_minor), dict[str, int]()
    for one in executed:
        if one.order_id is not None and one.amount_minor is not None and one.currency in left:
            found[one.order_id] = still = min(one.amount_minor, left[one.currency])
            left[one.currency] -= still
    return found


def _judged(before: Case, after: Case) -> bool:
    """Whether an officer's word on it came, or came again."""
    return before.disposed_at != after.disposed_at


def handling(case: Case) -> Handling:
    """What was done in the case: sorts of executed orders and of measures, and what that stopped, by currency. What orders hold
    or paid back counts; where there is none of a currency, what the institutions blocked by themselves. Seen are the signals that
    were there when an officer last did something about the case as a whole."""
    last = max((at for at in (case.acknowledged_at, case.disposed_at, case.closed_at) if at is not None), default=None)
    seen = frozenset(one.signal_id for one in case.signals if last is not None and one.accepted_at <= last)
    acts = {one.kind.value for one in case.orders if one.executed_at is not None}
    acts |= {one.kind.value for one in case.measures}
    held: dict[str, int] = {}
    blocked: dict[str, int] = {}
    for order in case.orders:
        if order.currency and (n := order.held_minor + order.paid_minor):
            held[order.currency] = held.get(order.currency, 0) + n
    for one in case.measures:
        if one.kind is MeasureKind.BLOCKED and one.currency and one.amount_minor:
            blocked[one.currency] = blocked.get(one.currency, 0) + one.amount_minor
    return Handling(seen=seen, acts=frozenset(acts), saved_minor=blocked | held)


def standing(case: Case) -> tuple[Executed, ...]:
    """What was executed in the case and stands: orders, and what institutions did of their own."""
    found = [
        Executed(one.recipient, _DID[one.kind], one.order_id, one.held_minor or None, one.currency)
        for one in case.orders
        if one.kind in _DID and (one.state in _STANDS or (one.state in _OVER and is_unlifted(one)))
    ]
    done = {(one.institution, one.kind): one for one in case.measures if one.kind is not MeasureKind.REPORTED}
    found += [Executed(who, kind.value, None, one.amount_minor, one.currency) for (who, kind), one in done.items()]
    return tuple(found)


def noticed(found: Iterable[Told], step: Step, of: str = "") -> tuple[Notice, ...]:
    """What is told, as notices. Their ids follow from the action, so that a replay tells nobody twice; they are numbered for each
    recipient, so that nobody reads how many others are told. `of`: the objection that they are about, where one action moves
    several."""
    counts: Counter[str] = Counter()
    notices = []
    for one in found:
        number = f"{sha256(one.recipient.encode()).hexdigest()[:12]}.{counts[one.recipient]}"
        counts[one.recipient] += 1
        notices.append(_notice(one, f"{of}/{number}" if of else number, step))
    return tuple(notices)


def _notice(one: Told, number: str, step: Step) -> Notice:
    kind, field = _KINDS[one.kind]
    if isinstance(one.data, TakenBack) and one.data.change == "correction":
        kind = NoticeKind.CORRECTION
    whole: dict[str, Any] = {field: one.data}
    return Notice.trusted(
        notice_id=f"{step.action.action_id}/{one.kind}/{number}",
        recipient=one.recipient,
        kind=kind,
        case_id=step.case.case_id,
        says=one.kind,
        at=step.now,
        **whole,
    )
