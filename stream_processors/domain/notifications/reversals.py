"""Notifies parties that acted on a signal of its correction or retraction, with the reversal of their action. Pure.

A release is proposed, never made here: an officer orders it. Without a live signal everything is proposed for release; with
others left, only the part that they do not support (`supported_minor`, from the trail of the remaining signals). Invariant:
everyone who executed something or was warned is notified once. Nobody learns whose signal it was, or an amount of a remaining
signal: only the agency reads a proposal that follows from one, and orders the release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Literal, NamedTuple

from schemas.cases.case import Case
from schemas.feedback import RetractionNotice, ReversalRequest
from schemas.measures import MeasureKind
from schemas.notices import NotificationKind
from schemas.orders.kinds import ORDER_KINDS, Reversal
from stream_processors.domain.notifications.feedback import others
from stream_processors.domain.notifications.notification import NotificationDraft

Change = Literal["correction", "retraction"]


class Executed(NamedTuple):
    """An institution's executed action in the case: an order, or a measure of its own (no order). `amount_minor`: the held
    amount."""

    institution: str
    did: str
    order_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None


_OF_MEASURES: dict[MeasureKind, Reversal | None] = {
    MeasureKind.WARNED: Reversal("warned", "withdraw_warning", requires_order=False),
    MeasureKind.BLOCKED: Reversal("blocked", "unblock", requires_order=True),
    MeasureKind.REPORTED: None,
}
_OF_ORDERS = {spec.kind: spec.reversal for spec in ORDER_KINDS.values()}
REVERSALS = {reversal.action: reversal for reversal in (*_OF_MEASURES.values(), *_OF_ORDERS.values()) if reversal is not None}
"""Action -> its reversal. An action without a row leaves nothing to undo, for example a request for information."""


def taken_back(
    after: Case,
    *,
    change: Change,
    executed: Sequence[Executed],
    warned: Set[str],
    supported_minor: Mapping[str, int] | None = None,
) -> tuple[NotificationDraft, ...]:
    """The notices of a case that just lost a signal. `executed`: actions in force; `warned`: recipients of an early warning;
    `supported_minor`: order -> the amount that the remaining signals support."""
    supported = supported_minor or {}
    proposed = tuple(undo for done in executed if (undo := _propose_undo(done, after, supported)) is not None)
    recipients = sorted(warned | {done.institution for done in executed})
    messages = [
        _make_notification(recipient, after, change, undo=_list_undos(recipient, after, executed, warned))
        for recipient in recipients
    ]
    if proposed:
        messages.append(_make_notification(after.queue, after, change, proposed=proposed))
    return tuple(messages)


def _make_notification(
    recipient: str,
    after: Case,
    change: Change,
    undo: tuple[ReversalRequest, ...] = (),
    proposed: tuple[ReversalRequest, ...] = (),
) -> NotificationDraft:
    data = RetractionNotice.trusted(
        case_id=after.case_id,
        subject=after.primary_subject.token,
        change=change,
        other_institutions=others(after, recipient),
        reversals=undo,
        proposed_orders=proposed,
    )
    kind = NotificationKind.CORRECTION if change == "correction" else NotificationKind.RETRACTION
    return NotificationDraft(recipient, kind, "retraction", payload=data)


def _list_undos(institution: str, after: Case, executed: Iterable[Executed], warned: Set[str]) -> tuple[ReversalRequest, ...]:
    """The reversals of the institution, once nobody reports the subject any more; then its early warning is void, too. While
    signals remain, a possible release order gives the amount: a part would reveal the others' reports."""
    if after.signal_count:
        return ()
    undos = [undo for done in executed if done.institution == institution and (undo := _propose_undo(done, after)) is not None]
    if institution in warned and not any(undo.action == "warned" for undo in undos):
        undos.append(_make_undo(Executed(institution, "warned"), REVERSALS["warned"], None))
    return tuple(undos)


def _propose_undo(done: Executed, after: Case, supported: Mapping[str, int] = MappingProxyType({})) -> ReversalRequest | None:
    """The reversals of actions that no signal supports any more."""
    reversal = REVERSALS.get(done.did)
    if reversal is None:
        return None
    if not after.signal_count:
        return _make_undo(done, reversal, None)
    still = supported.get(done.order_id or "")
    if still is None or done.amount_minor is None or still >= done.amount_minor:
        return None
    return _make_undo(done, reversal, done.amount_minor - max(0, still))


def _make_undo(done: Executed, reversal: Reversal, minor: int | None) -> ReversalRequest:
    return ReversalRequest.trusted(
        order_id=done.order_id,
        action=done.did,
        reversal=reversal.reversal,
        requires_order=reversal.requires_order,
        amount_minor=done.amount_minor if minor is None else minor,
        currency=done.currency,
    )
