"""Shared by the records of the coordination body: each action makes the next revision, once, if its actor is permitted. Pure.

Appraisals, supervision actions and data requests differ in their tables alone. Invariant: an applied action is never applied
again, and an action on an older revision is refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from schemas.oversight.appraisals import Appraisal, AppraisalMove, Supervision, SupervisionMove
from schemas.oversight.oversight import DataMove, DataRequest
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import ActorRole, Table

APPLIED_KEPT = 64


class Signer(Protocol):
    """A key that signs: returns a compact JWS of a payload."""

    @property
    def key_id(self) -> str: ...

    def sign(self, payload: bytes) -> str: ...


MoveT = TypeVar("MoveT", bound=AppraisalMove | SupervisionMove | DataMove)
RecordT = TypeVar("RecordT", bound=Appraisal | Supervision | DataRequest)
AnyRecordT = TypeVar("AnyRecordT")
Fields = dict[str, Any]
"""The fields of a record that an effect changes."""


class RecordChange(NamedTuple, Generic[AnyRecordT]):
    """The result of an action: `record` afterwards, or the refusal. An `echo` was applied before."""

    record: AnyRecordT | None = None
    refusal: Refusal | None = None
    echo: bool = False


class RecordStep(NamedTuple, Generic[MoveT, RecordT]):
    """One action on one record. `signer` is required to lock a result."""

    move: MoveT
    record: RecordT
    now: datetime
    signer: Signer | None = None


def refuse(problem: str, why: str) -> RecordChange[Any]:
    return RecordChange(refusal=Refusal(problem, why))


def apply_move(
    table: Table[RecordT, RecordStep[MoveT, RecordT], Fields, None],
    step: RecordStep[MoveT, RecordT],
    parties: dict[ActorRole, str | None],
    final: Refusal | None = None,
) -> RecordChange[RecordT]:
    """The record after the action. `parties`: role -> party (None: anybody); `final`: why a finished record refuses every
    action."""
    move, record = step.move, step.record
    if move.action_id in record.applied:
        return RecordChange(echo=True)
    if final is not None:
        return RecordChange(refusal=final)
    if move.revision is not None and move.revision != record.revision:
        detail = f"the {table.noun} is at revision {record.revision}, the request names {move.revision}; read it again"
        return refuse("stale-revision", detail)
    roles = {role for role, party in parties.items() if party in (None, move.party)}
    row = table.get((record.state, move.kind))
    if row is not None and not row.is_for(record, roles):
        permitted = sorted(party for role, party in parties.items() if party is not None and role in row.roles)
        return refuse("forbidden", f"only {' or '.join(permitted)} may do this")
    outcome = table.apply(record.state, move.kind, step, thing=record, roles=roles)
    if isinstance(outcome, Refusal):
        return RecordChange(refusal=outcome)
    applied = (*record.applied[1 - APPLIED_KEPT :], move.action_id)
    changes = {**outcome, "revision": record.revision + 1, "changed_at": step.now, "applied": applied}
    after: Any = record.model_copy(update=changes)
    return RecordChange(after)
