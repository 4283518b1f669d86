"""A notice as its recipient reads it: sentence, readable values, delivery state.

Invariant: values are opened only for the recipient of the notice, and nobody outside of an agency learns who acted for it.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from gateway.http.responses import copy_fields
from gateway.http.unsealing import SubjectOut, opened, shown, text_of
from schemas.common import Instant
from schemas.dissuasion import Dissuasion
from schemas.notices import Notification, told
from schemas.orders.order import Order
from schemas.security import Sealer
from schemas.signals.subjects import Subject
from stream_processors.views.inbox import Addressed, Delivery, Entry, Reached

Out = TypeVar("Out", bound=BaseModel)


class InboxVerifyOut(BaseModel):
    """The fields to compare before anything is stopped. If one differs, nothing may be stopped, and the answer is due at once."""

    fields: list[str]
    name: str | None
    account: str | None
    amount_minor: int | None
    occurred_at: Instant | None


class InboxOrderOut(BaseModel):
    """An order after the change that the notice reports. `verify`: the fields to compare. `related_order_id`: the related
    order."""

    order_id: str
    kind: str
    state: str
    agency: str
    recipient: str
    basis: str
    subject: SubjectOut | None
    verify: InboxVerifyOut | None
    amount_minor: int | None
    currency: str | None
    related_order_id: str | None
    text: str | None
    issued_at: Instant | None
    valid_until: Instant | None
    answer_by: Instant | None
    overdue: bool
    held_minor: int
    preserve_records_until: Instant | None


class InboxDissuasionOut(BaseModel):
    """A dissuasion after the change that the notice reports. `person` is about to lose money."""

    dissuasion_id: str
    state: str
    agency: str
    person: SubjectOut
    opened_at: Instant
    attempt_count: int


class InboxFeedbackOut(BaseModel):
    """The outcome of a signal; a later one replaces it. `prevented_loss_minor` belongs to the case, and its signals share it."""

    signal_id: str | None
    duplicate_of: str | None
    corroborated_by: int
    reviewed: bool
    actions_taken: list[str]
    outcome: str | None
    prevented_loss_minor: dict[str, int]


class InboxWarningOut(BaseModel):
    """A subject of yours was reported elsewhere. `signals`: your own about it."""

    subject: str
    subject_kind: str
    kinds: list[str]
    severity: str
    other_institutions: int
    signals: list[str]


class InboxReversalOut(BaseModel):
    """An action and its reversal: at once, or when the agency orders it."""

    order_id: str | None
    action: str
    reversal: str
    requires_order: bool
    amount_minor: int | None
    currency: str | None


class InboxRetractionOut(BaseModel):
    """A signal was corrected or retracted. `reversals`: your actions to reverse; `proposed_orders`: for the agency, the next
    releases."""

    subject: str
    change: str
    other_institutions: int
    reversals: list[InboxReversalOut]
    proposed_orders: list[InboxReversalOut]
    requires_acknowledgement: bool


class InboxAppealOut(BaseModel):
    """The new state of an appeal, your orders that it concerns, and the action you should take now."""

    appeal_id: str
    state: str
    orders: list[str]
    requested_action: str


class ReachedOut(BaseModel):
    """`channel`: poll, stream, webhook or api; `attempt` of a webhook."""

    at: Instant
    channel: str
    attempt: int | None = None


class DeliveryOut(BaseModel):
    """`state` is the furthest one reached; the others give time and channel. `detail`: why the endpoint did not accept it."""

    state: str
    sent_at: Instant
    received: ReachedOut | None = None
    acknowledged: ReachedOut | None = None
    parked: ReachedOut | None = None
    redelivered: ReachedOut | None = None
    detail: str | None = None


class ItemOut(BaseModel):
    """A notice. `template` is the key of its sentence, `zh` and `en` the sentence. `cursor` is its position: send it in
    `after` to get later notices and to confirm all earlier ones."""

    cursor: str | None
    notification_id: str
    kind: str
    template: str
    zh: str
    en: str
    at: Instant
    case_id: str
    order: InboxOrderOut | None = None
    dissuasion: InboxDissuasionOut | None = None
    subject: SubjectOut | None = None
    data: dict[str, int | str] | None = None
    feedback: InboxFeedbackOut | None = None
    warning: InboxWarningOut | None = None
    retraction: InboxRetractionOut | None = None
    appeal: InboxAppealOut | None = None
    delivery: DeliveryOut


class InboxOut(BaseModel):
    """Notices, the oldest first. `next_cursor`: send it in `after` of the next request; `has_more`: there is more already."""

    inbox: str
    items: list[ItemOut]
    next_cursor: str | None
    has_more: bool


class CaseNotificationOut(BaseModel):
    """One notice of a case, and the proof of its delivery."""

    recipient: str
    notification_id: str
    kind: str
    template: str
    zh: str
    en: str
    order_id: str | None
    dissuasion_id: str | None
    delivery: DeliveryOut


class DeliveriesOut(BaseModel):
    """The notices of a case, the oldest first, with recipient and delivery state."""

    case_id: str
    deliveries: list[CaseNotificationOut]


def _word_notice(notice: Notification) -> dict[str, str]:
    """Which notice it is, and what it says in both languages."""
    words = told(notice)
    return {
        "notification_id": notice.notification_id,
        "kind": notice.kind.value,
        "template": notice.template,
        "zh": words.zh,
        "en": words.en,
    }


def item_out(entry: Entry, cursor: str | None, sealer: Sealer) -> ItemOut:
    notice, order, dissuasion = entry.issued.notification, entry.issued.order, entry.issued.dissuasion
    return ItemOut(
        cursor=cursor,
        **_word_notice(notice),
        at=notice.at,
        case_id=notice.case_id,
        order=_order_out(order, sealer) if order else None,
        dissuasion=_dissuasion_out(dissuasion, sealer) if dissuasion else None,
        subject=_subject_of(notice.subject, _list_owners(notice, order), sealer) if notice.subject else None,
        data=_data_of(notice, order, sealer) or None,
        feedback=_convert(InboxFeedbackOut, notice.feedback),
        warning=_convert(InboxWarningOut, notice.warning),
        retraction=_convert(InboxRetractionOut, notice.retraction),
        appeal=_convert(InboxAppealOut, notice.appeal),
        delivery=delivery_out(notice, entry.delivery),
    )


def delivery_out(notice: Notification, delivery: Delivery) -> DeliveryOut:
    marks = {name: _reached_out(getattr(delivery, name)) for name in ("received", "acknowledged", "parked", "redelivered")}
    return DeliveryOut(state=delivery.state.value, sent_at=notice.at, detail=delivery.detail, **marks)


def case_notification_out(addressed: Addressed) -> CaseNotificationOut:
    """For the officers of the case: the sentence of the notice, without its other data."""
    notice = addressed.entry.issued.notification
    return CaseNotificationOut(
        recipient=addressed.recipient,
        **_word_notice(notice),
        order_id=notice.order_id,
        dissuasion_id=notice.dissuasion_id,
        delivery=delivery_out(notice, addressed.entry.delivery),
    )


def _convert(model: type[Out], record: BaseModel | None) -> Out | None:
    return None if record is None else model.model_validate(record.model_dump(mode="json"))


def _reached_out(reached: Reached | None) -> ReachedOut | None:
    if reached is None:
        return None
    return ReachedOut(at=reached.at, channel=reached.way, attempt=reached.attempt if reached.way == "webhook" else None)


def _list_owners(notice: Notification, order: Order | None) -> list[str]:
    """The possible contexts of a notice's subject: its order or the related one, its dissuasion, the recipient's own signals."""
    signals: list[str] = [*notice.warning.signals] if notice.warning else []
    if notice.feedback is not None and notice.feedback.signal_id:
        signals.append(notice.feedback.signal_id)
    return [
        owner for owner in (notice.order_id, order.related_order_id if order else None, notice.dissuasion_id, *signals) if owner
    ]


def _subject_of(subject: Subject, owners: list[str], sealer: Sealer) -> SubjectOut:
    values = (opened(sealer, subject.sealed, f"{owner}/{subject.token}") for owner in owners)
    value = next((candidate for candidate in values if candidate is not None), None)
    return shown(subject, value)


def _data_of(notice: Notification, order: Order | None, sealer: Sealer) -> dict[str, int | str]:
    """The notice's values; the basis that an officer gave is sealed in the order beside it."""
    basis = opened(sealer, order.basis_sealed, f"{order.order_id}/basis") if order is not None else None
    return {**notice.data, "basis": basis} if basis is not None and "basis" in notice.data else notice.data


def _order_out(order: Order, sealer: Sealer) -> InboxOrderOut:
    owners = [order.order_id, *([order.related_order_id] if order.related_order_id else [])]
    check = None
    if order.verify is not None:
        check = InboxVerifyOut(
            fields=[field.value for field in order.verify_fields],
            name=opened(sealer, order.verify.name_sealed, f"{order.order_id}/name"),
            account=opened(sealer, order.verify.account_sealed, f"{order.order_id}/account"),
            amount_minor=order.verify.amount_minor,
            occurred_at=order.verify.occurred_at,
        )
    return InboxOrderOut(
        **copy_fields(InboxOrderOut, order, "basis", "subject", "verify", "text"),
        basis=text_of(sealer, order.basis, order.basis_sealed, f"{order.order_id}/basis") or "",
        subject=_subject_of(order.subject, owners, sealer) if order.subject else None,
        verify=check,
        text=opened(sealer, order.text_sealed, f"{order.order_id}/text"),
    )


def _dissuasion_out(dissuasion: Dissuasion, sealer: Sealer) -> InboxDissuasionOut:
    person = _subject_of(dissuasion.person, [dissuasion.dissuasion_id], sealer)
    return InboxDissuasionOut(**copy_fields(InboxDissuasionOut, dissuasion, "person"), person=person)
