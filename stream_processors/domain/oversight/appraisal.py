"""The yearly appraisal of member units: a transition table from open to locked. Pure but for the signer that it is given.

open -> published -> (disputed -> decided) -> locked. A unit disputes its own figures while the time for it runs; the coordination
body rules; then the result is locked with a digest and a signature, and is final (Art. 47).
Invariant: a locked result refuses every move, and any change to it is seen (`verified`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from schemas.oversight.appraisals import (
    MOST_DISPUTES,
    Appraisal,
    AppraisalMove,
    AppraisalMoveKind,
    AppraisalState,
    Dispute,
    Lock,
    Ruling,
    UnitResult,
)
from stream_processors.domain.oversight.revisions import Fields, RecordChange, RecordStep, Signer, apply_move, refuse
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import ActorRole, Table, Transition

FORM = "liandong.appraisal.v1"


Verifier = Callable[[str], bytes | None]
"""Verifies a compact JWS and returns its payload, or None if the signature is not valid."""


S, K = AppraisalState, AppraisalMoveKind
_Step = RecordStep[AppraisalMove, Appraisal]


def _publish_figures(step: _Step) -> Fields | Refusal:
    until, results = step.move.disputes_until, step.move.results
    if until is None or until <= step.now:
        return Refusal("invalid-command", "published figures require a time until which units may dispute them")
    if not results or len({result.unit for result in results}) != len(results):
        return Refusal("invalid-command", "each appraised unit requires exactly one result")
    ordered = tuple(sorted(results, key=lambda result: result.unit))
    return {"results": ordered, "published_at": step.now, "disputes_until": until, "state": S.PUBLISHED}


def _dispute_figure(step: _Step) -> Fields | Refusal:
    move, appraisal = step.move, step.record
    if not _is_disputable(appraisal, step.now):
        return Refusal("too-late", f"the time for disputes ended at {appraisal.disputes_until:%Y-%m-%dT%H:%M:%SZ}")
    if move.dispute_id is None or move.figure is None or move.claimed_value is None or move.ground is None:
        return Refusal("invalid-command", "a dispute requires the figure, its correct value, and the ground")
    published = _find_figure(appraisal.results, move.party, move.figure)
    if published is None:
        return Refusal("not-yours", "a unit may dispute only its own published figures")
    if any(dispute.dispute_id == move.dispute_id for dispute in appraisal.disputes):
        return Refusal("reference-reused", "another dispute already has this id")
    if any((dispute.unit, dispute.figure, dispute.ruling) == (move.party, move.figure, None) for dispute in appraisal.disputes):
        return Refusal("transition-not-allowed", "this figure is already disputed and awaits a ruling")
    if len(appraisal.disputes) >= MOST_DISPUTES:
        return Refusal("too-many", f"an appraisal has at most {MOST_DISPUTES} disputes")
    new = Dispute.trusted(
        dispute_id=move.dispute_id,
        unit=move.party,
        figure=move.figure,
        published_value=published,
        claimed_value=move.claimed_value,
        ground=move.ground,
        document_number=move.document_number,
        raised_at=step.now,
    )
    return {"disputes": (*appraisal.disputes, new), "state": S.DISPUTED}


def _rule_on_dispute(step: _Step) -> Fields | Refusal:
    move, appraisal = step.move, step.record
    pending = next((dispute for dispute in appraisal.disputes if dispute.dispute_id == move.dispute_id), None)
    if pending is None or pending.ruling is not None:
        return Refusal("transition-not-allowed", "no such dispute awaits a ruling")
    if move.ruling is None or (move.ruling is Ruling.UPHELD and move.ruled_value is None):
        return Refusal("invalid-command", "a ruling upholds the dispute and gives the corrected figure, or rejects the dispute")
    ruled = move.ruled_value if move.ruling is Ruling.UPHELD else None
    marks = {"ruling": move.ruling, "ruled_value": ruled, "ruling_document_number": move.document_number, "ruled_at": step.now}
    disputes = tuple(dispute.model_copy(update=marks) if dispute is pending else dispute for dispute in appraisal.disputes)
    waiting = any(dispute.ruling is None for dispute in disputes)
    results = appraisal.results if ruled is None else _correct_figure(appraisal.results, pending, ruled)
    return {"disputes": disputes, "results": results, "state": S.DISPUTED if waiting else S.DECIDED}


def _lock_result(step: _Step) -> Fields | Refusal:
    if _is_disputable(step.record, step.now):
        return Refusal("not-due", f"figures may be disputed until {step.record.disputes_until:%Y-%m-%dT%H:%M:%SZ}")
    if step.signer is None:
        return Refusal("no-signer", "this gateway has no key to sign the result with")
    mark = digest(step.record)
    signature = step.signer.sign(_make_statement(step.record, mark, step.now))
    lock = Lock.trusted(at=step.now, digest=mark, signature=signature, key_id=step.signer.key_id)
    return {"lock": lock, "state": S.LOCKED}


_BODY = frozenset({ActorRole.BODY})
Row = Transition[Appraisal, _Step, Fields, None]
_ROWS: dict[tuple[str, str], Row] = {
    (S.OPEN, K.PUBLISH): Row((S.PUBLISHED,), _publish_figures, _BODY),
    **{(state, K.DISPUTE): Row((S.DISPUTED,), _dispute_figure) for state in (S.PUBLISHED, S.DISPUTED, S.DECIDED)},
    (S.DISPUTED, K.DECIDE): Row((S.DISPUTED, S.DECIDED), _rule_on_dispute, _BODY),
    **{(state, K.LOCK): Row((S.LOCKED,), _lock_result, _BODY) for state in (S.PUBLISHED, S.DECIDED)},
}
TABLE = Table("appraisal", _ROWS)
"""No transition leads out of LOCKED. `open` applies to a year without an appraisal. A unit may dispute its published figures."""


def decide(
    *, move: AppraisalMove, record: Appraisal | None, now: datetime, signer: Signer | None = None
) -> RecordChange[Appraisal]:
    """Decides on the action. `signer` is required to lock."""
    if record is None:
        return _open_year(move, now)
    if move.year != record.year:
        return refuse("not-found", f"this is the appraisal of {record.year}")
    final = Refusal("locked", f"the result of {record.year} is locked and final") if record.state is S.LOCKED else None
    return apply_move(TABLE, RecordStep(move, record, now, signer), {ActorRole.BODY: record.body}, final)


def _open_year(move: AppraisalMove, now: datetime) -> RecordChange[Appraisal]:
    if move.kind is not K.OPEN:
        return refuse("not-found", f"there is no appraisal for {move.year}")
    made = Appraisal.trusted(
        year=move.year,
        body=move.party,
        state=S.OPEN,
        revision=1,
        opened_at=now,
        changed_at=now,
        applied=(move.action_id,),
    )
    return RecordChange(made)


def _is_disputable(appraisal: Appraisal, now: datetime) -> bool:
    return appraisal.disputes_until is not None and now < appraisal.disputes_until


def _find_figure(results: tuple[UnitResult, ...], unit: str, figure: str) -> int | None:
    return next((result.figures.get(figure) for result in results if result.unit == unit), None)


def _correct_figure(results: tuple[UnitResult, ...], dispute: Dispute, ruled: int) -> tuple[UnitResult, ...]:
    """Changes only the figure itself: its parts and sums need disputes of their own."""
    return tuple(
        result.model_copy(update={"figures": {**result.figures, dispute.figure: ruled}})
        if result.unit == dispute.unit
        else result
        for result in results
    )


def canonical(appraisal: Appraisal) -> bytes:
    """The result as bytes: JSON with sorted keys, without blanks and empty members. Every field is named here, so that a later
    field changes no earlier digest."""
    content = {
        "form": FORM,
        "year": appraisal.year,
        "body": appraisal.body,
        "opened_at": _format_time(appraisal.opened_at),
        "published_at": _format_time(appraisal.published_at),
        "disputes_until": _format_time(appraisal.disputes_until),
        "results": [{"unit": result.unit, "figures": result.figures} for result in appraisal.results],
        "disputes": [_dump_dispute(dispute) for dispute in appraisal.disputes],
    }
    return _dump_json(content)


def digest(appraisal: Appraisal) -> str:
    return "sha-256:" + hashlib.sha256(canonical(appraisal)).hexdigest()


def verified(appraisal: Appraisal, verifier: Verifier) -> bool:
    """Whether the result is locked, signed by a key that the verifier trusts, and unchanged."""
    lock = appraisal.lock
    if lock is None or appraisal.state is not S.LOCKED:
        return False
    statement = verifier(lock.signature)
    mark = digest(appraisal)
    return lock.digest == mark and statement == _make_statement(appraisal, mark, lock.at)


def _make_statement(appraisal: Appraisal, mark: str, at: datetime) -> bytes:
    """The signed statement: short, whatever the number of units."""
    return _dump_json(
        {"form": FORM, "year": appraisal.year, "body": appraisal.body, "digest": mark, "locked_at": _format_time(at)}
    )


def _dump_dispute(dispute: Dispute) -> dict[str, Any]:
    return {
        "dispute_id": dispute.dispute_id,
        "unit": dispute.unit,
        "figure": dispute.figure,
        "published_value": dispute.published_value,
        "claimed_value": dispute.claimed_value,
        "ground": dispute.ground,
        "document_number": dispute.document_number,
        "raised_at": _format_time(dispute.raised_at),
        "ruling": dispute.ruling,
        "ruled_value": dispute.ruled_value,
        "ruling_document_number": dispute.ruling_document_number,
        "ruled_at": _format_time(dispute.ruled_at),
    }


def _format_time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _dump_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
