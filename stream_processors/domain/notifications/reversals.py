"""When a report is corrected or retracted, whoever acted on it is told, and what takes the action back. Pure.

A release is proposed, never done here: an officer orders it. Without a live report everything is proposed to be released; with
others left, only what the rest does not bear out (`supported_minor`, from the trail of the reports that are left).
Invariant: whoever executed something or was warned is told, once; nobody learns whose report it was, nor an amount of a report
that is left: only the agency reads a proposal that follows from one, and orders the release.
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
    """Something that an institution did in the case: an order that it executed, or a measure of its own (no order).
    `amount_minor`: what it holds of money."""

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
    """The notices of a case that has just lost a report. `executed`: what stands now; `warned`: who had an early warning;
    `supported_minor`: order -> what the reports that are left still bear out."""
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
    """What the institution is to take back, once nobody reports the subject any more; then an early warning that it had is void,
    too. While reports are left, the release order that may follow says how much: a part would tell what the others reported."""
    if after.signal_count:
        return ()
    undos = [undo for done in executed if done.institution == institution and (undo := _propose_undo(done, after)) is not None]
    if institution in warned and not any(undo.action == "warned" for undo in undos):
        undos.append(_make_undo(Executed(institution, "warned"), REVERSALS["warned"], None))
    return tuple(undos)


def _propose_undo(done: Executed, after: Case, supported: Mapping[str, int] = MappingProxyType({})) -> ReversalRequest | None:
    """What takes back what was done, as far as no report bears it out any more."""
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
