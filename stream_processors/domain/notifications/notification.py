"""A notification as one value, which the decisions on orders, dissuasion, appeals, deadlines and signals return.

Invariant: a notification contains no readable subject and no sentence. The caller that knows the cause derives the id of the
notice from it, so that reprocessing notifies nobody twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from schemas.appeals import AppealUpdate
from schemas.feedback import EarlyWarning, Feedback, RetractionNotice
from schemas.notices import Notification, NotificationKind
from schemas.signals.subjects import Subject

Payload = Feedback | EarlyWarning | RetractionNotice | AppealUpdate
Data = Mapping[str, int | str]
_MEMBERS: dict[type[Payload], str] = {
    Feedback: "feedback",
    EarlyWarning: "warning",
    RetractionNotice: "retraction",
    AppealUpdate: "appeal",
}
"""Payload -> the member of a notice that holds it."""


class NotificationDraft(NamedTuple):
    """`recipient`: an institution, or the queue of an agency. `template`: the key of the sentence, `data` its values (money in
    minor units, times as RFC 3339). `payload`: the details of kinds that carry more than a sentence. `order_id`, `dissuasion_id`,
    `subject`: its object."""

    recipient: str
    kind: NotificationKind
    template: str
    data: Data = MappingProxyType({})
    payload: Payload | None = None
    order_id: str | None = None
    dissuasion_id: str | None = None
    subject: Subject | None = None


def to_notification(notification_id: str, notification: NotificationDraft, *, case_id: str, at: datetime) -> Notification:
    """The notice of a notification for the log."""
    payload = notification.payload
    return Notification.trusted(
        notification_id=notification_id,
        recipient=notification.recipient,
        kind=notification.kind,
        case_id=case_id,
        template=notification.template,
        at=at,
        order_id=notification.order_id,
        dissuasion_id=notification.dissuasion_id,
        subject=notification.subject,
        data=dict(notification.data),
        **({} if payload is None else {_MEMBERS[type(payload)]: payload}),
    )
