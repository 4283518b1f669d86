"""Appeals (申诉) of persons who were wrongly hit: filing, written notice, decision, and the release by every recipient (the
joint-punishment measures of 2024, as the policy names them).

Invariant: the person appears only sealed. A recipient that executed something stays in the appeal until its release is confirmed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from schemas.common import AtMost, Instant, Name, PartyId, Revision, Sealed, Stored, Strict

MOST_EXECUTORS = 200
APPLIED_KEPT = 64

RequestedAction = Literal["none", "give_notice", "decide", "release", "confirm"]
"""What the recipient of the notification should do; `none` means nothing."""


class AppealState(StrEnum):
    """UPHELD and REJECTED are the two decisions. COMPLETED: every recipient has released what it executed."""

    FILED = "filed"
    NOTICE_GIVEN = "notice_given"
    UPHELD = "upheld"
    REJECTED = "rejected"
    RELEASED = "released"
    COMPLETED = "completed"


class AppealMove(StrEnum):
    """NOTICE: the person was informed in writing of the action, its reason and the remedies. CONFIRM: an institution released."""

    FILE = "file"
    NOTICE = "notice"
    UPHOLD = "uphold"
    REJECT = "reject"
    RELEASE = "release"
    CONFIRM = "confirm"


class AppealRole(StrEnum):
    """The role of an actor in an appeal."""

    DOOR = "door"
    IN_CHARGE = "in_charge"
    EXECUTOR = "executor"


class AppealRequest(Stored):
    """One action. `party` acts: an institution, or the queue of an agency, for which `officer` acts. `orders`: the contested
    orders, when filing. `text_sealed`: the person's words, the notice, or the reasons of a decision."""

    request_id: Name
    appeal_id: Name
    case_id: Name
    action: AppealMove
    party: PartyId
    officer: PartyId | None = None
    orders: tuple[Name, ...] = Field(default=(), max_length=64)
    text_sealed: Sealed | None = None


class Appeal(Stored):
    """The state of an appeal. `filed_through` is the channel it was filed through. `pending_parties` still have to release,
    `confirmed_parties` have done so. `notice_sealed`: the text of the written notice. `applied` holds the newest request ids, so
    that a redelivery is recognised."""

    appeal_id: Name
    case_id: Name
    state: AppealState
    filed_through: PartyId
    filed_at: Instant
    changed_at: Instant
    orders: tuple[Name, ...] = ()
    text_sealed: Sealed | None = None
    notice_given_at: Instant | None = None
    notice_sealed: Sealed | None = None
    decided_at: Instant | None = None
    decided_by: PartyId | None = None
    reasons_sealed: Sealed | None = None
    released_at: Instant | None = None
    completed_at: Instant | None = None
    pending_parties: tuple[PartyId, ...] = Field(default=(), max_length=MOST_EXECUTORS)
    confirmed_parties: tuple[PartyId, ...] = Field(default=(), max_length=MOST_EXECUTORS)
    applied: tuple[Name, ...] = Field(default=(), max_length=APPLIED_KEPT)


class AppealUpdate(Stored):
    """The notification of a party: the new state, its own orders that the appeal concerns, and the action it should take."""

    case_id: Name
    appeal_id: Name
    state: AppealState
    orders: tuple[Name, ...] = ()
    requested_action: RequestedAction = "none"


class AppealIn(Strict):
    """The body that files an appeal: the person's own words, and the contested orders (none: all that are in force)."""

    text: str = Field(min_length=1, max_length=700)
    orders: Annotated[tuple[Name, ...], AtMost(64)] = ()
    revision: Revision | None = None


class NoticeIn(Strict):
    """The body of the written notice: its text for the person, which is sealed before it leaves the gateway."""

    text: str = Field(min_length=1, max_length=700)
    revision: Revision | None = None


class DecisionIn(Strict):
    """The body of a decision on an appeal: its reasons in writing."""

    reasons: str = Field(min_length=1, max_length=700)
    revision: Revision | None = None


class MoveIn(Strict):
    """The body of an action without further members. `revision`: the revision of the case that the officer saw."""

    revision: Revision | None = None
