"""The objection (申诉) of a person who was wrongly hit, lodged through an institution or an agency: written notice, decision,
release that reaches whoever executed something (the joint-punishment measures of 2024, as the policy names them).

Invariant: the person appears sealed only; who executed something stands in the objection until their release is confirmed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from schemas.common import AtMost, Instant, Name, PartyId, Sealed, Stored, Strict

MOST_EXECUTORS = 200
APPLIED_KEPT = 64

Please = Literal["know", "notice", "decide", "release", "confirm"]
"""What whoever is told should do; `know`: nothing."""


class ObjectionState(StrEnum):
    """UPHELD and REJECTED are the two decisions; PROPAGATED: everybody who executed something has released it."""

    LODGED = "lodged"
    NOTICED = "noticed"
    UPHELD = "upheld"
    REJECTED = "rejected"
    RELEASED = "released"
    PROPAGATED = "propagated"


class ObjectionMove(StrEnum):
    """NOTICE: the person was told in writing what was done, why, and what they may do; CONFIRM: an institution has released."""

    LODGE = "lodge"
    NOTICE = "notice"
    UPHOLD = "uphold"
    REJECT = "reject"
    RELEASE = "release"
    CONFIRM = "confirm"


class ObjectionRole(StrEnum):
    """What an actor is in relation to an objection."""

    DOOR = "door"
    IN_CHARGE = "in_charge"
    EXECUTOR = "executor"


class ObjectionRequest(Stored):
    """One move. `party` acts: an institution, or the queue of an agency, for which `officer` acts. `orders`: what is objected to,
    when lodging. `text_sealed`: the person's words, the notice or the reasons of a decision."""

    request_id: Name
    objection_id: Name
    case_id: Name
    move: ObjectionMove
    party: PartyId
    officer: PartyId | None = None
    orders: tuple[Name, ...] = Field(default=(), max_length=64)
    text_sealed: Sealed | None = None


class Objection(Stored):
    """An objection as it is. `through` is the door that the person came by. `pending` still have to release, `confirmed` have.
    `notice_sealed`: what the person was told in writing. `applied` holds the newest requests, so that one that comes again is an
    echo."""

    objection_id: Name
    case_id: Name
    state: ObjectionState
    through: PartyId
    lodged_at: Instant
    changed_at: Instant
    orders: tuple[Name, ...] = ()
    text_sealed: Sealed | None = None
    noticed_at: Instant | None = None
    notice_sealed: Sealed | None = None
    decided_at: Instant | None = None
    decided_by: PartyId | None = None
    reasons_sealed: Sealed | None = None
    released_at: Instant | None = None
    propagated_at: Instant | None = None
    pending: tuple[PartyId, ...] = Field(default=(), max_length=MOST_EXECUTORS)
    confirmed: tuple[PartyId, ...] = Field(default=(), max_length=MOST_EXECUTORS)
    applied: tuple[Name, ...] = Field(default=(), max_length=APPLIED_KEPT)


class ObjectionTold(Stored):
    """What a party is told: the new state, the orders of its own that it concerns, what it should do now."""

    case_id: Name
    objection_id: Name
    state: ObjectionState
    orders: tuple[Name, ...] = ()
    please: Please = "know"


class ObjectionIn(Strict):
    """The body in which a person's objection is lodged: in their own words, against which orders (none: all that stands)."""

    text: str = Field(min_length=1, max_length=700)
    orders: Annotated[tuple[Name, ...], AtMost(64)] = ()
    revision: int | None = Field(default=None, ge=1, le=2**53)


class NoticeIn(Strict):
    """The body of the written notice: what the person was told. It is sealed before it leaves the gateway."""

    text: str = Field(min_length=1, max_length=700)
    revision: int | None = Field(default=None, ge=1, le=2**53)


class DecisionIn(Strict):
    """The body of a decision on an objection: its reasons, in writing."""

    reasons: str = Field(min_length=1, max_length=700)
    revision: int | None = Field(default=None, ge=1, le=2**53)


class MoveIn(Strict):
    """The body of a move that says nothing beside itself. `revision`: the case's that the officer saw."""

    revision: int | None = Field(default=None, ge=1, le=2**53)
