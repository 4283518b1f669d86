"""The appeal as a transition table: permitted actors, deadlines that start and stop, notifications. Pure.

lodged -> noticed -> upheld -> released -> propagated, or noticed -> rejected. Invariants: a refused action changes nothing. The
officer who gave the contested order does not decide on it. An upheld appeal ends only when every executor has confirmed the
release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import datetime
from typing import Any, NamedTuple

from schemas.appeals import (
    APPLIED_KEPT,
    Appeal,
    AppealMove,
    AppealRequest,
    AppealRole,
    AppealState,
    AppealUpdate,
    RequestedAction,
)
from schemas.notices import NotificationKind
from stream_processors.domain.notifications.notification import NotificationDraft
from stream_processors.domain.notifications.reversals import Executed
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import NONE, Table, Transition

WRITTEN_NOTICE, APPEAL, RELEASE = "written_notice", "appeal", "release"
"""Deadlines of the policy. The release runs until every recipient has released, because only then is the person free."""


class Around(NamedTuple):
    """The case's knowledge: the queue in charge, executed orders and measures in force, officers who gave or approved them."""

    queue: str
    executed: Sequence[Executed] = ()
    ordered_by: Set[str] = frozenset()


class Decided(NamedTuple):
    """`appeal` is the new state; None: the request was refused or is a redelivery, and neither changes anything."""

    appeal: Appeal | None = None
    refusal: Refusal | None = None
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    notifications: tuple[NotificationDraft, ...] = ()


class AppealStep(NamedTuple):
    """One request. `appeal` is the current state (of a new one: the state it would have)."""

    request: AppealRequest
    appeal: Appeal
    around: Around
    now: datetime


def _about_something(step: AppealStep) -> Refusal | None:
    """An appeal must be against an action: orders or measures in force."""
    if not step.around.executed:
        return Refusal("nothing-to-appeal", "no executed order or measure of this case is in force")
    if unknown := sorted(set(step.request.orders) - {done.order_id for done in step.around.executed}):
        return Refusal("unknown-order", f"no such order is in force in this case: {', '.join(unknown)}")
    return None


def _reasoned_by_another(step: AppealStep) -> Refusal | None:
    if step.request.officer in step.around.ordered_by:
        return Refusal("conflict-of-interest", "the officer who gave the contested order may not decide on the appeal")
    if step.request.text_sealed is None:
        return Refusal("reasons-missing", "a decision on an appeal must state its reasons")
    return None


def _lodge_objection(step: AppealStep) -> dict[str, Any]:
    return {"state": S.FILED}


def _give_notice(step: AppealStep) -> dict[str, Any]:
    return {"state": S.NOTICE_GIVEN, "notice_given_at": step.now, "notice_sealed": step.request.text_sealed}


def _uphold_objection(step: AppealStep) -> dict[str, Any]:
    return {"state": S.UPHELD, **_record_decision(step)}


def _reject_objection(step: AppealStep) -> dict[str, Any]:
    return {"state": S.REJECTED, **_record_decision(step)}


def _record_decision(step: AppealStep) -> dict[str, Any]:
    return {"decided_at": step.now, "decided_by": step.request.officer, "reasons_sealed": step.request.text_sealed}


def _release_objection(step: AppealStep) -> dict[str, Any]:
    pending = tuple(executors(step.appeal, step.around))
    return {"released_at": step.now, "pending_parties": pending, **_await_executors(pending, step.now)}


def _confirm_release(step: AppealStep) -> dict[str, Any]:
    appeal, party = step.appeal, step.request.party
    pending = tuple(executor for executor in appeal.pending_parties if executor != party)
    return {
        "pending_parties": pending,
        "confirmed_parties": (*appeal.confirmed_parties, party),
        **_await_executors(pending, step.now),
    }


def _await_executors(pending: tuple[str, ...], now: datetime) -> dict[str, Any]:
    return {"state": S.RELEASED} if pending else {"state": S.COMPLETED, "completed_at": now}


class Consequence(NamedTuple):
    """Deadlines that an action starts and stops, and the requested actions of the agency and the executors (None: not notified).
    The filing channel is notified of every new state."""

    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    agency: RequestedAction | None = None
    executors: RequestedAction | None = None


_DOOR, _AGENCY = frozenset({AppealRole.DOOR}), frozenset({AppealRole.IN_CHARGE})
_EXECUTOR = frozenset({AppealRole.EXECUTOR})
S, M = AppealState, AppealMove
_LODGED = Consequence(started=(WRITTEN_NOTICE, APPEAL), agency="give_notice")
_NOTICED = Consequence(stopped=(WRITTEN_NOTICE,), agency="decide")
_UPHELD = Consequence(started=(RELEASE,), stopped=(APPEAL,), agency="release", executors="none")
_REJECTED = Consequence(stopped=(APPEAL,), executors="none")

Row = Transition[None, AppealStep, dict[str, Any], Consequence]
_ROWS: dict[tuple[str, str], Row] = {
    (NONE, M.FILE): Row((S.FILED,), _lodge_objection, _DOOR, _about_something, detail=_LODGED),
    (S.FILED, M.NOTICE): Row((S.NOTICE_GIVEN,), _give_notice, _DOOR | _AGENCY, detail=_NOTICED),
    (S.NOTICE_GIVEN, M.UPHOLD): Row((S.UPHELD,), _uphold_objection, _AGENCY, _reasoned_by_another, detail=_UPHELD),
    (S.NOTICE_GIVEN, M.REJECT): Row((S.REJECTED,), _reject_objection, _AGENCY, _reasoned_by_another, detail=_REJECTED),
    (S.UPHELD, M.RELEASE): Row((S.RELEASED, S.COMPLETED), _release_objection, _AGENCY, detail=Consequence(executors="confirm")),
    (S.RELEASED, M.CONFIRM): Row((S.RELEASED, S.COMPLETED), _confirm_release, _EXECUTOR, detail=Consequence(agency="none")),
}
TABLE = Table("appeal", _ROWS, forbidden="forbidden")
"""A release without recipients and the last confirmation lead to COMPLETED, which stops the deadline of the release."""


def roles_of(party: str, officer: str | None, appeal: Appeal | None, around: Around) -> frozenset[AppealRole]:
    """The roles of the party: the filing channel (of a new one: whoever files it), in charge of the case, or an executor whose
    confirmation is pending."""
    roles = set()
    if appeal is None or party == appeal.filed_through:
        roles.add(AppealRole.DOOR)
    if party == around.queue and officer is not None:
        roles.add(AppealRole.IN_CHARGE)
    if appeal is not None and party in appeal.pending_parties:
        roles.add(AppealRole.EXECUTOR)
    return frozenset(roles)


def list_allowed(party: str, officer: str | None, appeal: Appeal | None, around: Around) -> tuple[str, ...]:
    """The actions allowed to the party now; a guard may still refuse one."""
    return TABLE.allowed(NONE if appeal is None else appeal.state, None, roles_of(party, officer, appeal, around))


def executors(appeal: Appeal, around: Around) -> dict[str, tuple[str, ...]]:
    """The executors of the contested orders (without named orders: of all in force), with their orders."""
    orders_by_executor: dict[str, tuple[str, ...]] = {}
    for done in around.executed:
        if not appeal.orders or done.order_id in appeal.orders:
            orders_by_executor[done.institution] = (
                *orders_by_executor.get(done.institution, ()),
                *((done.order_id,) if done.order_id else ()),
            )
    return dict(sorted(orders_by_executor.items()))


def decide(*, request: AppealRequest, appeal: Appeal | None, around: Around, now: datetime) -> Decided:
    """Decides on the request."""
    if appeal is not None and request.request_id in appeal.applied:
        return Decided()
    state = NONE if appeal is None else appeal.state
    roles = roles_of(request.party, request.officer, appeal, around)
    step = AppealStep(request, appeal or _make_objection(request, now), around, now)
    outcome = TABLE.apply(state, request.action, step, thing=None, roles=roles)
    if isinstance(outcome, Refusal):
        return Decided(refusal=outcome)
    applied = (*step.appeal.applied[1 - APPLIED_KEPT :], request.request_id)
    changed = step.appeal.model_copy(update={**outcome, "changed_at": now, "applied": applied})
    then = TABLE[state, request.action].detail
    ended = (RELEASE,) if changed.state is S.COMPLETED else ()
    return Decided(changed, None, then.started, then.stopped + ended, tuple(_notify_parties(then, state, changed, around)))


def _make_objection(request: AppealRequest, now: datetime) -> Appeal:
    return Appeal.trusted(
        appeal_id=request.appeal_id,
        case_id=request.case_id,
        state=AppealState.FILED,
        filed_through=request.party,
        filed_at=now,
        changed_at=now,
        orders=request.orders,
        text_sealed=request.text_sealed,
    )


def _notify_parties(then: Consequence, was: str, appeal: Appeal, around: Around) -> Iterator[NotificationDraft]:
    """Notifies the agency, every executor, and the filing channel, which gets new states only."""
    if then.agency is not None:
        yield _make_notification(around.queue, appeal, appeal.orders, then.agency)
    if then.executors is not None:
        for executor, orders in executors(appeal, around).items():
            yield _make_notification(executor, appeal, orders, then.executors)
    if appeal.state != was and appeal.filed_through != around.queue:
        yield _make_notification(appeal.filed_through, appeal, (), "none")


def _make_notification(recipient: str, appeal: Appeal, orders: tuple[str, ...], please: RequestedAction) -> NotificationDraft:
    data = AppealUpdate.trusted(
        case_id=appeal.case_id, appeal_id=appeal.appeal_id, state=appeal.state, orders=orders, requested_action=please
    )
    return NotificationDraft(recipient, NotificationKind.APPEAL, "appeal", payload=data)
