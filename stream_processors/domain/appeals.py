"""The objection as a transition table: who may do what, which clocks start and stop, who is told. Pure.

lodged -> noticed -> upheld -> released -> propagated, or noticed -> rejected. Invariants: a refused move changes nothing; whoever
ordered what is objected to does not decide on it; an upheld objection ends only when every executor has confirmed the release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
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
from stream_processors.domain.notifications.notification import Told
from stream_processors.domain.notifications.reversals import Executed
from stream_processors.domain.refusal import Refusal

NONE = "none"
WRITTEN_NOTICE, APPEAL, RELEASE = "written_notice", "appeal", "release"
"""Clocks of the policy. The release runs until everybody has released: only then is the person free."""


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
    told: tuple[Told, ...] = ()


Guard = Callable[[ObjectionRequest, Around], Refusal | None]
Effect = Callable[[ObjectionRequest, Objection, Around, datetime], dict[str, Any]]


def _free(request: ObjectionRequest, around: Around) -> Refusal | None:
    return None


def _about_something(request: ObjectionRequest, around: Around) -> Refusal | None:
    """An objection is against what was done: orders or measures that stand."""
    if not around.executed:
        return Refusal("nothing-to-object", "nothing that was executed in this case stands")
    if unknown := sorted(set(request.orders) - {done.order_id for done in around.executed}):
        return Refusal("unknown-order", f"no such order stands in this case: {', '.join(unknown)}")
    return None


def _reasoned_by_another(request: ObjectionRequest, around: Around) -> Refusal | None:
    if request.officer in around.ordered_by:
        return Refusal("own-order", "whoever ordered what is objected to does not decide on the objection")
    if request.text_sealed is None:
        return Refusal("no-reasons", "a decision on an objection gives its reasons in writing")
    return None


def _nothing_more(request: ObjectionRequest, objection: Objection, around: Around, now: datetime) -> dict[str, Any]:
    return {}


def _noticed(request: ObjectionRequest, objection: Objection, around: Around, now: datetime) -> dict[str, Any]:
    return {"noticed_at": now, "notice_sealed": request.text_sealed}


def _judged(request: ObjectionRequest, objection: Objection, around: Around, now: datetime) -> dict[str, Any]:
    return {"decided_at": now, "decided_by": request.officer, "reasons_sealed": request.text_sealed}


def _released(request: ObjectionRequest, objection: Objection, around: Around, now: datetime) -> dict[str, Any]:
    pending = tuple(executors(objection, around))
    return {"released_at": now, "pending": pending, **_end(pending, now)}


def _confirmed(request: ObjectionRequest, objection: Objection, around: Around, now: datetime) -> dict[str, Any]:
    pending = tuple(party for party in objection.pending if party != request.party)
    return {"pending": pending, "confirmed": (*objection.confirmed, request.party), **_end(pending, now)}


def _end(pending: tuple[str, ...], now: datetime) -> dict[str, Any]:
    return {} if pending else {"state": ObjectionState.PROPAGATED, "propagated_at": now}


class Move(NamedTuple):
    """The next state, who may make the move (any of `roles`), clocks, and what the agency and the executors should do (None: they
    are not told). The door is told of every new state."""

    to: ObjectionState
    roles: frozenset[ObjectionRole]
    guard: Guard
    effect: Effect
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    agency: Please | None = None
    executors: Please | None = None


_DOOR, _AGENCY = frozenset({ObjectionRole.DOOR}), frozenset({ObjectionRole.IN_CHARGE})
_EXECUTOR = frozenset({ObjectionRole.EXECUTOR})
S, M = ObjectionState, ObjectionMove

TABLE: dict[tuple[str, ObjectionMove], Move] = {
    (NONE, M.LODGE): Move(S.LODGED, _DOOR, _about_something, _nothing_more, started=(WRITTEN_NOTICE, APPEAL), agency="notice"),
    (S.LODGED, M.NOTICE): Move(S.NOTICED, _DOOR | _AGENCY, _free, _noticed, stopped=(WRITTEN_NOTICE,), agency="decide"),
    (S.NOTICED, M.UPHOLD): Move(
        S.UPHELD,
        _AGENCY,
        _reasoned_by_another,
        _judged,
        started=(RELEASE,),
        stopped=(APPEAL,),
        agency="release",
        executors="know",
    ),
    (S.NOTICED, M.REJECT): Move(S.REJECTED, _AGENCY, _reasoned_by_another, _judged, stopped=(APPEAL,), executors="know"),
    (S.UPHELD, M.RELEASE): Move(S.RELEASED, _AGENCY, _free, _released, executors="confirm"),
    (S.RELEASED, M.CONFIRM): Move(S.RELEASED, _EXECUTOR, _free, _confirmed, agency="know"),
}
"""State x move. A release that nobody has to execute and the last confirmation go on to PROPAGATED, which stops its clock."""


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


def open_moves(party: str, officer: str | None, objection: Objection | None, around: Around) -> list[str]:
    """The moves that are open to the party now; a guard may still refuse one."""
    roles = roles_of(party, officer, objection, around)
    state = NONE if objection is None else objection.state
    return [move.value for (at, move), row in TABLE.items() if at == state and roles & row.roles]


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
    move = TABLE.get((state, request.move))
    roles = roles_of(request.party, request.officer, objection, around)
    if move is None or not roles & move.roles:
        moves = tuple(open_moves(request.party, request.officer, objection, around))
        why = f"the objection is {state}; moves open now to {request.party}: {', '.join(moves) or 'none'}"
        return Decided(refusal=Refusal("not-allowed" if move is None else "forbidden", why, moves))
    refusal = move.guard(request, around)
    if refusal is not None:
        return Decided(refusal=refusal)
    was = objection if objection is not None else _new(request, now)
    applied = (*was.applied[1 - APPLIED_KEPT :], request.request_id)
    changes = {"state": move.to, "changed_at": now, "applied": applied, **move.effect(request, was, around, now)}
    changed = was.model_copy(update=changes)
    ended = (RELEASE,) if changed.state is S.PROPAGATED else ()
    return Decided(changed, None, move.started, move.stopped + ended, tuple(_tell_parties(move, state, changed, around)))


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


def _tell_parties(move: Move, was: str, objection: Objection, around: Around) -> Iterator[Told]:
    """The agency, everybody who executed something, and the door, which hears of new states alone."""
    if move.agency is not None:
        yield _make_message(around.queue, objection, objection.orders, move.agency)
    if move.executors is not None:
        for executor, orders in executors(objection, around).items():
            yield _make_message(executor, objection, orders, move.executors)
    if objection.state != was and objection.through != around.queue:
        yield _make_message(objection.through, objection, (), "know")


def _make_message(recipient: str, objection: Objection, orders: tuple[str, ...], please: Please) -> Told:
    data = ObjectionTold.trusted(
        case_id=objection.case_id,
        objection_id=objection.objection_id,
        state=objection.state,
        orders=orders,
        please=please,
    )
    return Told(recipient, "objection", objection.objection_id, data)
