"""Dissuasions (劝阻): a person is about to lose money, and everyone who can reach the person is asked to (Art. 22).

Invariant: one party at a time works on a dissuasion, so that a frightened person does not get three calls. Statements are sealed
in the context `dissuasion_id/attempt_id`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.common import AmountMinor, AtMost, Currency, CurrencyIn, EventTime, Instant, Name, PartyId, Revision, Stored, Strict
from schemas.measures import Channel
from schemas.orders.order import SealedLine, SealedText
from schemas.signals.subjects import Named, Subject

MOST_REACH, ATTEMPTS_KEPT = 8, 16


class DissuasionState(StrEnum):
    """OPEN: every recipient who can reach the person was asked. TAKEN: one of them works on it."""

    OPEN = "open"
    TAKEN = "taken"
    DISSUADED = "dissuaded"
    NOT_DISSUADED = "not_dissuaded"
    CANCELLED = "cancelled"


OVER = frozenset({DissuasionState.DISSUADED, DissuasionState.NOT_DISSUADED, DissuasionState.CANCELLED})


class DissuasionEventKind(StrEnum):
    ASK = "ask"
    TAKE = "take"
    GIVE_BACK = "give_back"
    ATTEMPT = "attempt"
    SUCCEED = "succeed"
    GIVE_UP = "give_up"
    CANCEL = "cancel"
    DUE = "due"


class Way(StrEnum):
    BANK = "bank"
    POLICE_STATION = "police_station"
    TELECOM = "telecom"
    PLATFORM = "platform"


class Result(StrEnum):
    """Result of one attempt. HUNG_UP: the person was reached and would not listen."""

    CONVINCED = "convinced"
    NOT_CONVINCED = "not_convinced"
    HUNG_UP = "hung_up"
    NOT_REACHED = "not_reached"


class DissuasionEnd(StrEnum):
    """Reason why a dissuasion ended. PAID: the person paid before, or in spite of it."""

    DISSUADED = "dissuaded"
    PAID = "paid"
    NOT_REACHED = "not_reached"
    INSISTED = "insisted"
    NOT_AT_RISK = "not_at_risk"


class Reach(Stored):
    """A party that can reach the person, and its channel."""

    party: PartyId
    party_type: Way


class Attempt(Stored):
    """One attempt. `caller_sealed`: the speaker; `conversation_sealed`: the content."""

    attempt_id: Name
    party: PartyId
    party_type: Way
    channel: Channel
    at: Instant
    done_at: EventTime
    result: Result
    caller_sealed: SealedLine | None = None
    conversation_sealed: SealedText | None = None


class Dissuasion(Stored):
    """The whole dissuasion. `attempt_count` counts all attempts, `attempts` holds the newest, `missed_deadlines` counts how often
    its deadline ended. `prevented_loss_minor` is the amount that the person did not pay."""

    dissuasion_id: Name
    case_id: Name
    agency: PartyId
    person: Subject
    reachable_by: tuple[Reach, ...] = Field(min_length=1, max_length=MOST_REACH)
    state: DissuasionState
    opened_at: Instant
    changed_at: Instant
    taken_by: PartyId | None = None
    taken_at: Instant | None = None
    first_attempt_at: Instant | None = None
    attempt_count: int = 0
    attempts: tuple[Attempt, ...] = Field(default=(), max_length=ATTEMPTS_KEPT)
    missed_deadlines: int = 0
    outcome: DissuasionEnd | None = None
    prevented_loss_minor: AmountMinor | None = None
    currency: Currency | None = None
    ended_at: Instant | None = None


class DissuasionDraft(Stored):
    """A new dissuasion: `person` is the victim, `reachable_by` the parties that can reach the person, the nearest first."""

    dissuasion_id: Name
    case_id: Name
    agency: PartyId
    person: Subject
    reachable_by: tuple[Reach, ...] = Field(min_length=1, max_length=MOST_REACH)


class DissuasionEvent(Stored):
    """An event of one dissuasion. `event_id` is the action's id. `attempt` describes a try or a success. `unit`: the unit that an
    officer acts for, from the token (a police station reaches people as a unit)."""

    event_id: Name
    dissuasion_id: Name
    kind: DissuasionEventKind
    unit: PartyId | None = None
    draft: DissuasionDraft | None = None
    attempt: Attempt | None = None
    outcome: DissuasionEnd | None = None
    prevented_loss_minor: AmountMinor | None = None
    currency: Currency | None = None


class AttemptIn(Strict):
    """The body that reports an attempt. `caller` and `conversation` are sealed before they leave the gateway."""

    channel: Channel
    done_at: EventTime
    result: Literal["convinced", "not_convinced", "hung_up", "not_reached"]
    caller: str | None = Field(default=None, min_length=1, max_length=120)
    conversation: str | None = Field(default=None, min_length=1, max_length=700)
    prevented_loss_minor: AmountMinor | None = None
    currency: CurrencyIn = "CNY"


class ReachIn(Strict):
    """A party that can reach the person, and its channel."""

    party: PartyId
    party_type: Way


class DissuasionIn(Strict):
    """The body that asks for dissuasion: the person, and the parties that can reach the person, the nearest first. `person` is
    sealed before it leaves the gateway. `revision`: the revision of the case that the officer saw."""

    person: Named
    reachable_by: Annotated[tuple[ReachIn, ...], Field(min_length=1), AtMost(MOST_REACH)]
    revision: Revision | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({reach.party for reach in self.reachable_by}) < len(self.reachable_by):
            raise ValueError("a party may occur only once in 'reachable_by'")
        return self


class GiveUpIn(Strict):
    """The body that ends a dissuasion without success: the reason."""

    outcome: Literal["paid", "not_reached", "insisted", "not_at_risk"]


class CancelIn(Strict):
    """The body that cancels a dissuasion."""

    outcome: Literal["paid", "not_reached", "insisted", "not_at_risk"] = "not_at_risk"
    revision: Revision | None = None
