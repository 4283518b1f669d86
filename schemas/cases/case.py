"""Cases and their changes. `cases.commands.v1` carries requests, and `cases.changed.v1` the decision record of each.

Invariant: each applied action makes one revision of its case, and the revision is the fencing token of an officer's action.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from schemas.appeals import Appeal, AppealRequest
from schemas.common import AmountMinor, Currency, EventTime, Instant, Name, PartyId, Region, Sealed, Stored
from schemas.deadlines import Deadline, Due
from schemas.dispositions import Disposition
from schemas.dissuasion import Dissuasion, DissuasionEvent
from schemas.measures import Measure
from schemas.notices import Notification
from schemas.orders.order import Order, OrderEvent
from schemas.scorecards import CountedFigures
from schemas.signals.assessed import Reason
from schemas.signals.events import EventFact
from schemas.signals.retraction import Contribution
from schemas.signals.submission import MAX_SUBJECTS, MOST_VERSIONS, ScamStage, SignalKind, Subject, Trust

__all__ = [
    "OFFICERS_ONLY",
    "Action",
    "ActionKind",
    "ActionOutcome",
    "Case",
    "CaseChange",
    "CaseStatus",
    "CaseVerdict",
    "Disposition",
    "JoinedSignal",
    "Portion",
    "Tally",
]


class ActionKind(StrEnum):
    JOIN = "join"
    RETRACT = "retract"
    CLAIM = "claim"
    RENEW = "renew"
    RELEASE = "release"
    HAND_OVER = "hand_over"
    DISPOSE = "dispose"
    ACKNOWLEDGE = "acknowledge"
    TRANSFER = "transfer"
    MERGE = "merge"
    SPLIT = "split"
    REOPEN = "reopen"
    CLOSE = "close"
    ABSORB = "absorb"
    MEASURE = "measure"
    ORDER = "order"
    DISSUASION = "dissuasion"
    APPEAL = "appeal"
    DEADLINE_DUE = "deadline_due"


OFFICERS_ONLY = frozenset(
    {
        ActionKind.CLAIM,
        ActionKind.RENEW,
        ActionKind.RELEASE,
        ActionKind.HAND_OVER,
        ActionKind.DISPOSE,
        ActionKind.ACKNOWLEDGE,
        ActionKind.TRANSFER,
        ActionKind.MERGE,
        ActionKind.SPLIT,
        ActionKind.REOPEN,
        ActionKind.CLOSE,
    }
)
"""Actions of officers. Institutions and stages send the others."""


class CaseStatus(StrEnum):
    """RETRACTED: every signal of the case was retracted. CLOSED: disposed of, and every sender has its feedback. MERGED: another
    case took over its content, and later actions on it are forwarded there."""

    OPEN = "open"
    CLAIMED = "claimed"
    DISPOSED = "disposed"
    RETRACTED = "retracted"
    CLOSED = "closed"
    MERGED = "merged"


class JoinedSignal(Stored):
    """A signal as its case records it."""

    signal_id: Name
    institution: PartyId
    kind: SignalKind
    occurred_at: EventTime
    accepted_at: Instant
    region: Region
    amount_minor: AmountMinor | None
    currency: Currency | None
    score: int = Field(ge=0, le=100)
    severity: Name
    reasons: tuple[Reason, ...] = Field(max_length=64)
    subjects: tuple[Subject, ...] = Field(min_length=1, max_length=MAX_SUBJECTS)
    narrative_sealed: Sealed | None
    typology: Name | None = None
    stage: ScamStage | None = None
    loss_minor: AmountMinor | None = None
    loss_currency: Currency | None = None
    detected_at: EventTime | None = None
    derived_from: Name | None = None
    event: EventFact | None = None
    trust: Trust | None = None
    contact_sealed: Sealed | None = None
    version: int = Field(default=1, ge=1, le=MOST_VERSIONS)


class Tally(Stored):
    """Counts of a case's live signals by score, institution and kind. They give the exact remainder after a retraction."""

    scores: dict[str, int]
    institutions: dict[str, int]
    kinds: dict[str, int]


class Portion(Stored):
    """The content that one case hands over to another: all of it in a merge, some signals in a split. `primary_subject` opens a
    case if there is none; `deadlines` are running deadlines of institutions; `linked_case_ids` as in a case."""

    source_case_id: Name
    signals: tuple[JoinedSignal, ...]
    signal_count: int
    amount_minor: dict[str, int]
    tally: Tally
    institutions: tuple[str, ...]
    measures: tuple[Measure, ...] = ()
    primary_subject: Subject | None = None
    primary_signal_id: Name | None = None
    deadlines: tuple[Deadline, ...] = ()
    linked_case_ids: tuple[Name, ...] = ()


class Action(Stored):
    """A request about one case. `revision` is the one that the officer saw; requests of others have none.

    `retracted_contribution` is the contribution of a retracted signal. `linked_case_ids` are the other cases that a signal joins.
    Exactly one of `measure`, `order`, `dissuasion`, `appeal`, `due`, `portion` is present for the kind of that name
    (DEADLINE_DUE: `due`, ABSORB: `portion`). For a transfer `queue` is the destination. `into_case_id` is the case that absorbs
    this one, or the new case that
    `signals` are split into. `visited_case_ids` names the split-off cases through which the request was forwarded.
    """

    action_id: Name
    case_id: Name
    kind: ActionKind
    queue: Name
    signal: JoinedSignal | None = None
    officer: PartyId | None = None
    to_officer: PartyId | None = None
    revision: int | None = None
    lease_s: int | None = Field(default=None, ge=1, le=10**7)
    disposition: Disposition | None = None
    note_sealed: Sealed | None = None
    retracted_contribution: Contribution | None = None
    linked_case_ids: tuple[Name, ...] = Field(default=(), max_length=16)
    measure: Measure | None = None
    order: OrderEvent | None = None
    dissuasion: DissuasionEvent | None = None
    appeal: AppealRequest | None = None
    due: Due | None = None
    portion: Portion | None = None
    into_case_id: Name | None = None
    signals: tuple[Name, ...] = Field(default=(), max_length=200)
    visited_case_ids: tuple[Name, ...] = Field(default=(), max_length=200)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        """An officer's action without its officer would leave a claimed case that nobody holds and nobody could end."""
        if self.kind in OFFICERS_ONLY and self.officer is None:
            raise ValueError("an action of an officer must name the officer")
        if self.kind is ActionKind.HAND_OVER and self.to_officer is None:
            raise ValueError("a hand-over must name the officer who receives the case")
        if self.kind is ActionKind.DISPOSE and self.disposition is None:
            raise ValueError("a disposal must give the outcome of the case")
        if (needed := _NEEDS.get(self.kind)) is not None and not getattr(self, needed):
            raise ValueError(f"an action of the kind {self.kind.value} requires {needed}")
        return self


_NEEDS = {
    ActionKind.MEASURE: "measure",
    ActionKind.ORDER: "order",
    ActionKind.DISSUASION: "dissuasion",
    ActionKind.APPEAL: "appeal",
    ActionKind.DEADLINE_DUE: "due",
    ActionKind.ABSORB: "portion",
    ActionKind.MERGE: "into_case_id",
    ActionKind.SPLIT: "signals",
}


class CaseTransfer(Stored):
    """One transfer of a case between two queues."""

    at: Instant
    transferred_by: str
    from_queue: str
    to_queue: str
    note_sealed: str | None = None


class Case(Stored):
    """The whole case after an action. Lists are bounded; counts are not.

    `signals` holds so many (policy: `case_signals_kept`), of each sender its share, newest first; `signal_count` counts all;
    `applied` the newest ids of officers' actions, so that a gateway's retry is an echo. `lease_until` ends a claim without a
    further record. The value of `primary_subject` opens in the context of `primary_signal_id`, the signal that it came with. All
    but `primary_subject`, `opened_at` and what officers did is of live signals; `retracted_signal_count` counts those that were
    taken back. `deadlines` to `appeals` are the loop's, each bounded by the module that adds to it. `linked_case_ids` are the
    cases of other agencies that share signals with this one, `merged_from` those that were merged into it. `split_count` counts
    the cases that were split off it, `split_off` says which signal (its name with the version) went to which of them.
    `leads_only`: it was opened by a lead of organized crime; no other signal joins it, and nothing of it is told to institutions
    beyond what they did in it.
    """

    case_id: str
    queue: str
    revision: int
    status: CaseStatus
    opened_at: Instant
    changed_at: Instant
    primary_subject: Subject
    primary_signal_id: str
    score: int
    severity: str
    kinds: tuple[SignalKind, ...]
    institutions: tuple[str, ...]
    signal_count: int
    amount_minor: dict[str, int]
    signals: tuple[JoinedSignal, ...]
    tally: Tally
    holder: str | None = None
    lease_until: Instant | None = None
    disposition: Disposition | None = None
    disposed_by: str | None = None
    disposed_at: Instant | None = None
    note_sealed: str | None = None
    reopen_count: int = 0
    applied: tuple[str, ...] = ()
    retracted_signal_count: int = 0
    acknowledged_at: Instant | None = None
    acknowledged_by: str | None = None
    closed_at: Instant | None = None
    closed_by: str | None = None
    linked_case_ids: tuple[str, ...] = ()
    merged_into: str | None = None
    merged_from: tuple[str, ...] = ()
    split_from: str | None = None
    split_count: int = 0
    split_off: dict[str, str] = {}
    transfers: tuple[CaseTransfer, ...] = ()
    deadlines: tuple[Deadline, ...] = ()
    measures: tuple[Measure, ...] = ()
    orders: tuple[Order, ...] = ()
    dissuasions: tuple[Dissuasion, ...] = ()
    appeals: tuple[Appeal, ...] = ()
    leads_only: bool = False


class ActionOutcome(StrEnum):
    """APPLIED changed the case. REFUSED did not, and `detail` gives the reason. REDELIVERY is a request that was already
    applied."""

    APPLIED = "applied"
    REFUSED = "refused"
    REDELIVERY = "redelivery"


class CaseVerdict(Stored):
    """A disposal's verdict on the case's subjects. `confirmed_until_ms`: until when it counts against them; 0: it does not."""

    tokens: tuple[Name, ...]
    confirmed_until_ms: int


class OrderCount(Stored):
    """The number of times that the case's orders of one kind count against the cap of an account (decision 15)."""

    kind: Name
    recipient: PartyId
    token: Name
    count: int = Field(ge=0)


class CaseChange(Stored):
    """The value of `cases.changed.v1`: the outcome of one action. `case` is complete if it was applied.

    `origin` (`partition:offset`) is the source of a join, so that its redeliveries are recognised after a rebuild. `left_queue`
    is the queue that the case has left. `deliver` delivers `notifications` to their recipients and `follow_ups` to other cases.
    `allowed_transitions`: the actions allowed instead, if this one was refused. `figure_changes` is the change to the scorecards.
    `order_counts`, if orders changed, counts the case's orders about each account.
    """

    action_id: str | None
    case_id: str | None
    kind: ActionKind | None
    outcome: ActionOutcome
    at: Instant
    actor: str
    detail: str | None = None
    problem: str | None = None
    revision: int | None = None
    origin: str | None = None
    case: Case | None = None
    verdict: CaseVerdict | None = None
    left_queue: str | None = None
    notifications: tuple[Notification, ...] = ()
    follow_ups: tuple[Action, ...] = ()
    allowed_transitions: tuple[Name, ...] = ()
    figure_changes: CountedFigures | None = None
    order_counts: tuple[OrderCount, ...] = ()
