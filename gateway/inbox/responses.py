"""A notice as its recipient reads it: sentence, readable values, delivery state.

Invariant: values are opened only for the recipient of the notice, and nobody outside of an agency learns who acted for it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

from gateway.http.unsealing import SubjectOut, opened, shown, text_of
from schemas.common import Instant
from schemas.dissuasion import Task
from schemas.notices import Notice, told
from schemas.orders.order import Order
from schemas.security import Sealer
from schemas.signals.subjects import Subject
from stream_processors.views.inbox import Addressed, Delivery, Entry, Reached

Out = TypeVar("Out", bound=BaseModel)


class CheckOut(BaseModel):
    """The fields to compare before anything is stopped. If one differs, nothing may be stopped, and the answer is due at once."""

    fields: list[str]
    name: str | None
    account: str | None
    amount_minor: int | None
    occurred_at: Instant | None


class InboxOrderOut(BaseModel):
    """An order after the change that the notice reports. `check`: the fields to compare. `of`: the related order."""

    order_id: str
    kind: str
    state: str
    agency: str
    recipient: str
    basis: str
    subject: SubjectOut | None
    check: CheckOut | None
    amount_minor: int | None
    currency: str | None
    of: str | None
    text: str | None
    issued_at: Instant | None
    valid_until: Instant | None
    answer_by: Instant | None
    overdue: bool
    held_minor: int
    preserve_until: Instant | None


class InboxTaskOut(BaseModel):
    """A dissuasion task after the change that the notice reports. `person` is about to lose money."""

    task_id: str
    state: str
    agency: str
    person: SubjectOut
    opened_at: Instant
    tries: int


class InboxFeedbackOut(BaseModel):
    """The outcome of a signal; a later one replaces it. `saved_minor` belongs to the case, and its signals share it."""

    signal_id: str | None
    duplicate_of: str | None
    corroborated_by: int
    seen: bool
    acts: list[str]
    outcome: str | None
    saved_minor: dict[str, int]


class InboxWarningOut(BaseModel):
    """A subject of yours was reported elsewhere. `signals`: your own about it."""

    subject: str
    subject_kind: str
    kinds: list[str]
    severity: str
    others: int
    signals: list[str]


class InboxUndoOut(BaseModel):
    """An action and its reversal: at once, or when the agency orders it."""

    order_id: str | None
    did: str
    undo: str
    after_order: bool
    amount_minor: int | None
    currency: str | None


class InboxTakenBackOut(BaseModel):
    """A signal was corrected or retracted. `undo`: your actions to reverse; `proposed`: for the agency, the next releases."""

    subject: str
    change: str
    others: int
    undo: list[InboxUndoOut]
    proposed: list[InboxUndoOut]
    needs_receipt: bool


class InboxObjectionOut(BaseModel):
    """The new state of an appeal, your orders that it concerns, and the action you should take now."""

    objection_id: str
    state: str
    orders: list[str]
    please: str


class ReachedOut(BaseModel):
    """`way`: poll, stream, webhook or api; `attempt` of a webhook."""

    at: Instant
    way: str
    attempt: int | None = None


class DeliveryOut(BaseModel):
    """`state` is the furthest one reached; the others give time and channel. `detail`: why the endpoint did not accept it."""

    state: str
    sent_at: Instant
    received: ReachedOut | None = None
    acknowledged: ReachedOut | None = None
    parked: ReachedOut | None = None
    replayed: ReachedOut | None = None
    detail: str | None = None


class ItemOut(BaseModel):
    """A notice. `says` is the key of its sentence, `zh` and `en` the sentence. `cursor` is its position: send it in `after` to
    get later notices and to confirm all earlier ones."""

    cursor: str | None
    notice_id: str
    kind: str
    says: str
    zh: str
    en: str
    at: Instant
    case_id: str
    order: InboxOrderOut | None = None
    task: InboxTaskOut | None = None
    subject: SubjectOut | None = None
    data: dict[str, int | str] | None = None
    feedback: InboxFeedbackOut | None = None
    warning: InboxWarningOut | None = None
    taken_back: InboxTakenBackOut | None = None
    objection: InboxObjectionOut | None = None
    delivery: DeliveryOut


class InboxOut(BaseModel):
    """Notices, the oldest first. `next`: send it in `after` of the next request; `more`: there is more already."""

    inbox: str
    items: list[ItemOut]
    next: str | None
    more: bool


class CaseNoticeOut(BaseModel):
    """One notice of a case, and the proof of its delivery."""

    recipient: str
    notice_id: str
    kind: str
    says: str
    zh: str
    en: str
    order_id: str | None
    task_id: str | None
    delivery: DeliveryOut


class DeliveriesOut(BaseModel):
    """The notices of a case, the oldest first, with recipient and delivery state."""

    case_id: str
    deliveries: list[CaseNoticeOut]


def item_out(entry: Entry, cursor: str | None, sealer: Sealer) -> ItemOut:
    notice, order, task = entry.issued.notice, entry.issued.order, entry.issued.task
    wording = told(notice)
    return ItemOut(
        cursor=cursor,
        notice_id=notice.notice_id,
        kind=notice.kind.value,
        says=notice.says,
        zh=wording.zh,
        en=wording.en,
        at=notice.at,
        case_id=notice.case_id,
        order=_order(order, sealer) if order else None,
        task=_task(task, sealer) if task else None,
        subject=_subject(notice.subject, _owners(notice, order), sealer) if notice.subject else None,
        data=_data(notice, order, sealer) or None,
        feedback=_as(InboxFeedbackOut, notice.feedback),
        warning=_as(InboxWarningOut, notice.warning),
        taken_back=_as(InboxTakenBackOut, notice.taken_back),
        objection=_as(InboxObjectionOut, notice.objection),
        delivery=delivery_out(notice, entry.delivery),
    )


def delivery_out(notice: Notice, delivery: Delivery) -> DeliveryOut:
    return DeliveryOut(
        state=delivery.state.value,
        sent_at=notice.at,
        received=_reached(delivery.received),
        acknowledged=_reached(delivery.acknowledged),
        parked=_reached(delivery.parked),
        replayed=_reached(delivery.replayed),
        detail=delivery.detail,
    )


def case_notice_out(addressed: Addressed) -> CaseNoticeOut:
    """For the officers of the case: the sentence of the notice, without its other data."""
    notice = addressed.entry.issued.notice
    wording = told(notice)
    return CaseNoticeOut(
        recipient=addressed.recipient,
        notice_id=notice.notice_id,
        kind=notice.kind.value,
        says=notice.says,
        zh=wording.zh,
        en=wording.en,
        order_id=notice.order_id,
        task_id=notice.task_id,
        delivery=delivery_out(notice, addressed.entry.delivery),
    )


def _as(model: type[Out], record: BaseModel | None) -> Out | None:
    return None if record is None else model.model_validate(record.model_dump(mode="json"))


def _reached(reached: Reached | None) -> ReachedOut | None:
    if reached is None:
        return None
    return ReachedOut(at=reached.at, way=reached.way, attempt=reached.attempt if reached.way == "webhook" else None)


def _owners(notice: Notice, order: Order | None) -> list[str]:
    """The possible contexts of a notice's subject: its order or the related one, its task, the recipient's own signals."""
    signals: list[str] = [*notice.warning.signals] if notice.warning else []
    if notice.feedback is not None and notice.feedback.signal_id:
        signals.append(notice.feedback.signal_id)
    return [owner for owner in (notice.order_id, order.of if order else None, notice.task_id, *signals) if owner]


def _subject(subject: Subject, owners: list[str], sealer: Sealer) -> SubjectOut:
    values = (opened(sealer, subject.sealed, f"{owner}/{subject.token}") for owner in owners)
    value = next((candidate for candidate in values if candidate is not None), None)
    return shown(subject, value)


def _data(notice: Notice, order: Order | None, sealer: Sealer) -> dict[str, int | str]:
    """The notice's values; the basis that an officer gave is sealed in the order beside it."""
    basis = opened(sealer, order.basis_sealed, f"{order.order_id}/basis") if order is not None else None
    return {**notice.data, "basis": basis} if basis is not None and "basis" in notice.data else notice.data


_PLAIN = [name for name in InboxOrderOut.model_fields if name not in ("basis", "subject", "check", "text", "kind", "state")]


def _order(order: Order, sealer: Sealer) -> InboxOrderOut:
    plain: dict[str, Any] = {name: getattr(order, name) for name in _PLAIN}
    owners = [order.order_id, *([order.of] if order.of else [])]
    check = None
    if order.verify is not None:
        check = CheckOut(
            fields=[field.value for field in order.verify_fields],
            name=opened(sealer, order.verify.name_sealed, f"{order.order_id}/name"),
            account=opened(sealer, order.verify.account_sealed, f"{order.order_id}/account"),
            amount_minor=order.verify.amount_minor,
            occurred_at=order.verify.occurred_at,
        )
    return InboxOrderOut(
        **plain,
        kind=order.kind.value,
        state=order.state.value,
        basis=text_of(sealer, order.basis, order.basis_sealed, f"{order.order_id}/basis") or "",
        subject=_subject(order.subject, owners, sealer) if order.subject else None,
        check=check,
        text=opened(sealer, order.text_sealed, f"{order.order_id}/text"),
    )


def _task(task: Task, sealer: Sealer) -> InboxTaskOut:
    return InboxTaskOut(
        task_id=task.task_id,
        state=task.state.value,
        agency=task.agency,
        person=_subject(task.person, [task.task_id], sealer),
        opened_at=task.opened_at,
        tries=task.tries,
    )
