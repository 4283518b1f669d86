"""The objection as a transition table: who may do what, which clocks start and stop, who is told. Pure.

lodged -> noticed -> upheld -> released -> propagated, or noticed -> rejected. Invariants: a refused move changes nothing; whoever
ordered what is objected to does not decide on it; an upheld objection ends only when every executor has confirmed the release.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import datetime
from typing import Any, NamedTuple

from schemas.appeals import (
    APPLIED_KEPT,
    Objection,
    ObjectionMove,
    ObjectionRequest,
    ObjectionRole,
    ObjectionState,
    ObjectionTold,
    Please,
)
from schemas.notices import NoticeKind
from stream_processors.domain.notifications.notification import Notification
from stream_processors.domain.notifications.reversals import Executed
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import NONE, Table, Transition

WRITTEN_NOTICE, APPEAL, RELEASE = "written_notice", "appeal", "release"
"""Deadlines of the policy. The release runs until every recipient has released, because only then is the person free."""


class Around(NamedTuple):
    """What the case knows: the queue in charge, what was executed and stands, and the officers who ordered or approved it."""

    queue: str
    executed: Sequence[Executed] = ()
    ordered_by: Set[str] = frozenset()


class Decided(NamedTuple):
    """`objection` as it is now; None: the request was refused or is an echo, neither changes anything."""

    objection: Objection | None = None
    refusal: Refusal | None = None
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    notifications: tuple[Notification, ...] = ()


class AppealStep(NamedTuple):
    """One request. `objection` is as it stands (of a new one: as it would stand)."""

    request: ObjectionRequest
    objection: Objection
    around: Around
    now: datetime


def _about_something(step: AppealStep) -> Refusal | None:
    """An objection is against what was done: orders or measures that stand."""
    if not step.around.executed:
        return Refusal("nothing-to-object", "no executed order or measure of this case is in force")
    if unknown := sorted(set(step.request.orders) - {done.order_id for done in step.around.executed}):
        return Refusal("unknown-order", f"no such order is in force in this case: {', '.join(unknown)}")
    return None


def _reasoned_by_another(step: AppealStep) -> Refusal | None:
    if step.request.officer in step.around.ordered_by:
        return Refusal("own-order", "the officer who gave the contested order may not decide on the appeal")
    if step.request.text_sealed is None:
        return Refusal("no-reasons", "a decision on an appeal must state its reasons")
    return None


def _lodge(step: AppealStep) -> dict[str, Any]:
    return {"state": S.LODGED}


def _notice(step: AppealStep) -> dict[str, Any]:
    return {"state": S.NOTICED, "noticed_at": step.now, "notice_sealed": step.request.text_sealed}


def _uphold(step: AppealStep) -> dict[str, Any]:
    return {"state": S.UPHELD, **_judge(step)}


def _reject(step: AppealStep) -> dict[str, Any]:
    return {"state": S.REJECTED, **_judge(step)}


def _judge(step: AppealStep) -> dict[str, Any]:
    return {"decided_at": step.now, "decided_by": step.request.officer, "reasons_sealed": step.request.text_sealed}


def _release(step: AppealStep) -> dict[str, Any]:
    pending = tuple(executors(step.objection, step.around))
    return {"released_at": step.now, "pending": pending, **_await_executors(pending, step.now)}


def _confirm(step: AppealStep) -> dict[str, Any]:
    objection, party = step.objection, step.request.party
    pending = tuple(executor for executor in objection.pending if executor != party)
    return {"pending": pending, "confirmed": (*objection.confirmed, party), **_await_executors(pending, step.now)}


def _await_executors(pending: tuple[str, ...], now: datetime) -> dict[str, Any]:
    return {"state": S.RELEASED} if pending else {"state": S.PROPAGATED, "propagated_at": now}


class Consequence(NamedTuple):
    """Deadlines that a move starts and stops, and what the agency and the executors should do (None: they are not told). The door
    is told of every new state."""

    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    agency: Please | None = None
    executors: Please | None = None


_DOOR, _AGENCY = frozenset({ObjectionRole.DOOR}), frozenset({ObjectionRole.IN_CHARGE})
_EXECUTOR = frozenset({ObjectionRole.EXECUTOR})
S, M = ObjectionState, ObjectionMove
_LODGED = Consequence(started=(WRITTEN_NOTICE, APPEAL), agency="notice")
_NOTICED = Consequence(stopped=(WRITTEN_NOTICE,), agency="decide")
_UPHELD = Consequence(started=(RELEASE,), stopped=(APPEAL,), agency="release", executors="know")
_REJECTED = Consequence(stopped=(APPEAL,), executors="know")

Row = Transition[None, AppealStep, dict[str, Any], Consequence]
_ROWS: dict[tuple[str, str], Row] = {
    (NONE, M.LODGE): Row((S.LODGED,), _lodge, _DOOR, _about_something, detail=_LODGED),
    (S.LODGED, M.NOTICE): Row((S.NOTICED,), _notice, _DOOR | _AGENCY, detail=_NOTICED),
    (S.NOTICED, M.UPHOLD): Row((S.UPHELD,), _uphold, _AGENCY, _reasoned_by_another, detail=_UPHELD),
    (S.NOTICED, M.REJECT): Row((S.REJECTED,), _reject, _AGENCY, _reasoned_by_another, detail=_REJECTED),
    (S.UPHELD, M.RELEASE): Row((S.RELEASED, S.PROPAGATED), _release, _AGENCY, detail=Consequence(executors="confirm")),
    (S.RELEASED, M.CONFIRM): Row((S.RELEASED, S.PROPAGATED), _confirm, _EXECUTOR, detail=Consequence(agency="know")),
}
TABLE = Table("appeal", _ROWS, forbidden="forbidden")
"""A release without recipients and the last confirmation lead to PROPAGATED, which stops the deadline of the release."""


def roles_of(party: str, officer: str | None, objection: Objection | None, around: Around) -> frozenset[ObjectionRole]:
    """What the party is to the objection: its door (of a new one: whoever brings it), in charge of the case, or an executor whose
    confirmation is awaited."""
    roles = set()
    if objection is None or party == objection.through:
        roles.add(ObjectionRole.DOOR)
    if party == around.queue and officer is not None:
        roles.add(ObjectionRole.IN_CHARGE)
    if objection is not None and party in objection.pending:
        roles.add(ObjectionRole.EXECUTOR)
    return frozenset(roles)


def list_allowed(party: str, officer: str | None, objection: Objection | None, around: Around) -> tuple[str, ...]:
    """The moves that are open to the party now; a guard may still refuse one."""
    return TABLE.allowed(NONE if objection is None else objection.state, None, roles_of(party, officer, objection, around))


def executors(objection: Objection, around: Around) -> dict[str, tuple[str, ...]]:
    """Who executed what the objection is about (without orders named: all that stands), with their orders."""
    orders_by_executor: dict[str, tuple[str, ...]] = {}
    for done in around.executed:
        if not objection.orders or done.order_id in objection.orders:
            orders_by_executor[done.institution] = (
                *orders_by_executor.get(done.institution, ()),
                *((done.order_id,) if done.order_id else ()),
            )
    return dict(sorted(orders_by_executor.items()))


def decide(*, request: ObjectionRequest, objection: Objection | None, around: Around, now: datetime) -> Decided:
    """What becomes of the request."""
    if objection is not None and request.request_id in objection.applied:
        return Decided()
    state = NONE if objection is None else objection.state
    roles = roles_of(request.party, request.officer, objection, around)
    step = AppealStep(request, objection or _new(request, now), around, now)
    outcome = TABLE.apply(state, request.move, step, thing=None, roles=roles)
    if isinstance(outcome, Refusal):
        return Decided(refusal=outcome)
    applied = (*step.objection.applied[1 - APPLIED_KEPT :], request.request_id)
    changed = step.objection.model_copy(update={**outcome, "changed_at": now, "applied": applied})
    then = TABLE[state, request.move].detail
    ended = (RELEASE,) if changed.state is S.PROPAGATED else ()
    return Decided(changed, None, then.started, then.stopped + ended, tuple(_notify_parties(then, state, changed, around)))


def _new(request: ObjectionRequest, now: datetime) -> Objection:
    return Objection.trusted(
        objection_id=request.objection_id,
        case_id=request.case_id,
        state=ObjectionState.LODGED,
        through=request.party,
        lodged_at=now,
        changed_at=now,
        orders=request.orders,
        text_sealed=request.text_sealed,
    )


def _notify_parties(then: Consequence, was: str, objection: Objection, around: Around) -> Iterator[Notification]:
    """The agency, everybody who executed something, and the door, which hears of new states alone."""
    if then.agency is not None:
        yield _make_notification(around.queue, objection, objection.orders, then.agency)
    if then.executors is not None:
        for executor, orders in executors(objection, around).items():
            yield _make_notification(executor, objection, orders, then.executors)
    if objection.state != was and objection.through != around.queue:
        yield _make_notification(objection.through, objection, (), "know")


def _make_notification(recipient: str, objection: Objection, orders: tuple[str, ...], please: Please) -> Notification:
    data = ObjectionTold.trusted(
        case_id=objection.case_id,
        objection_id=objection.objection_id,
        state=objection.state,
        orders=orders,
        please=please,
    )
    return Notification(recipient, NoticeKind.OBJECTION, "objection", payload=data)
