"""Cases and what happens to them. `cases.commands.v1` carries requests, `cases.changed.v1` the fact that each became.

Invariant: a case has one revision after each applied action, and the revision is the fencing token of an officer's move.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from schemas.appeals import Objection, ObjectionRequest
from schemas.common import AmountMinor, Currency, EventTime, Instant, Name, PartyId, Region, Sealed, Stored
from schemas.deadlines import Clock, Due
from schemas.dispositions import Disposition
from schemas.dissuasion import Task, TaskEvent
from schemas.measures import Measure
from schemas.notices import Notice
from schemas.orders.order import Order, OrderEvent
from schemas.scorecards import Counted
from schemas.signals.assessed import Reason
from schemas.signals.events import EventFact
from schemas.signals.retraction import Standing
from schemas.signals.submission import MAX_SUBJECTS, MOST_VERSIONS, SignalKind, Stage, Subject, Trust

__all__ = [
    "OFFICERS_ONLY",
    "Action",
    "ActionKind",
    "ActionOutcome",
    "Case",
    "CaseChange",
    "CaseStatus",
    "Disposition",
    "JoinedSignal",
    "Moved",
    "Portion",
    "Tally",
    "Verdict",
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
    TASK = "task"
    OBJECTION = "objection"
    CLOCK_DUE = "clock_due"


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
"""The moves of the officers in charge. Of the others some are institutions', some stages'."""


class CaseStatus(StrEnum):
    """RETRACTED: every signal of the case was taken back. CLOSED: disposed of, and its senders have their feedback. MERGED: what
    it held is in another case now, and what still comes for it goes there."""

    OPEN = "open"
    CLAIMED = "claimed"
    DISPOSED = "disposed"
    RETRACTED = "retracted"
    CLOSED = "closed"
    MERGED = "merged"


class JoinedSignal(Stored):
    """A signal as its case sees it."""

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
    stage: Stage | None = None
    loss_minor: AmountMinor | None = None
    loss_currency: Currency | None = None
    detected_at: EventTime | None = None
    derived_from: Name | None = None
    event: EventFact | None = None
    trust: Trust | None = None
    contact_sealed: Sealed | None = None
    version: int = Field(default=1, ge=1, le=MOST_VERSIONS)


class Tally(Stored):
    """Of a case's live signals: how many have each score, institution and kind. What is left when one is taken back follows
    from it, however many there are."""

    scores: dict[str, int]
    institutions: dict[str, int]
    kinds: dict[str, int]


class Portion(Stored):
    """What one case hands over to another: all of it when they are merged, some signals when it is split. `primary` opens a case
    where there is none; `clocks` are institutions' that still run, `linked` as in a case."""

    of: Name
    signals: tuple[JoinedSignal, ...]
    signal_count: int
    amount_minor: dict[str, int]
    tally: Tally
    institutions: tuple[str, ...]
    measures: tuple[Measure, ...] = ()
    primary: Subject | None = None
    primary_signal_id: Name | None = None
    clocks: tuple[Clock, ...] = ()
    linked: tuple[Name, ...] = ()


class Action(Stored):
    """A request about one case. `revision` is the one the officer saw; what officers do not do carries none.

    `withdrawn` is what a retracted signal had added to the case; `linked` are the cases that a signal joins beside this one.
    One of `measure`, `order`, `task`, `objection`, `due`, `portion` belongs to the kind of that name (CLOCK_DUE: `due`, ABSORB:
    `portion`). `queue` of a transfer is the one that takes the case; `into` the case that this one is merged into, or the new one
    that `signals` are split off to. `passed` names the split-off cases that it was sent on to before.
    """

    action_id: Name
    case_id: Name
    kind: ActionKind
    queue: Name
    signal: JoinedSignal | None = None
    officer: PartyId | None = None
    to: PartyId | None = None
    revision: int | None = None
    lease_s: int | None = Field(default=None, ge=1, le=10**7)
    disposition: Disposition | None = None
    note_sealed: Sealed | None = None
    withdrawn: Standing | None = None
    linked: tuple[Name, ...] = Field(default=(), max_length=16)
    measure: Measure | None = None
    order: OrderEvent | None = None
    task: TaskEvent | None = None
    objection: ObjectionRequest | None = None
    due: Due | None = None
    portion: Portion | None = None
    into: Name | None = None
    signals: tuple[Name, ...] = Field(default=(), max_length=200)
    passed: tuple[Name, ...] = Field(default=(), max_length=200)

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        """A move without its officer would leave a claimed case that nobody holds, and nobody could end."""
        if self.kind in OFFICERS_ONLY and self.officer is None:
            raise ValueError("an officer's action names the officer")
        if self.kind is ActionKind.HAND_OVER and self.to is None:
            raise ValueError("a hand-over names who takes the case")
        if self.kind is ActionKind.DISPOSE and self.disposition is None:
            raise ValueError("a disposal says how the case ends")
        if (needed := _NEEDS.get(self.kind)) is not None and not getattr(self, needed):
            raise ValueError(f"a {self.kind.value} carries its {needed}")
        return self


_NEEDS = {
    ActionKind.MEASURE: "measure",
    ActionKind.ORDER: "order",
    ActionKind.TASK: "task",
    ActionKind.OBJECTION: "objection",
    ActionKind.CLOCK_DUE: "due",
    ActionKind.ABSORB: "portion",
    ActionKind.MERGE: "into",
    ActionKind.SPLIT: "signals",
}


class Moved(Stored):
    """One transfer of a case from a queue to another."""

    at: Instant
    by: str
    came_from: str
    to: str
    note_sealed: str | None = None


class Case(Stored):
    """The whole case after an action. Lists are bounded; counts are not.

    `signals` holds so many (policy: `case_signals_kept`), of each sender its share, newest first; `signal_count` counts all;
    `applied` the newest ids of officers' actions, so that a gateway's retry is an echo. `lease_until` ends a claim without a
    further record. The value of `primary` opens in the context of `primary_signal_id`, the signal that it came with. All but
    `primary`, `opened_at` and what officers did is of live signals; `retracted` counts those that were taken back.
    `clocks` to `objections` are the loop's, each bounded by the module that adds to it. `linked` are the cases of other agencies
    that share signals with this one, `absorbed` those that were merged into it. `splits` counts the cases that were split off it,
    `split_off` says which signal (its name with the version) went to which of them. `leads_only`: it was opened by a lead of
    organized crime; no other signal joins it, and nothing of it is told to institutions beyond what they did in it.
    """

    case_id: str
    queue: str
    revision: int
    status: CaseStatus
    opened_at: Instant
    changed_at: Instant
    primary: Subject
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
    reopened: int = 0
    applied: tuple[str, ...] = ()
    retracted: int = 0
    acknowledged_at: Instant | None = None
    acknowledged_by: str | None = None
    closed_at: Instant | None = None
    closed_by: str | None = None
    linked: tuple[str, ...] = ()
    merged_into: str | None = None
    absorbed: tuple[str, ...] = ()
    split_from: str | None = None
    splits: int = 0
    split_off: dict[str, str] = {}
    transfers: tuple[Moved, ...] = ()
    clocks: tuple[Clock, ...] = ()
    measures: tuple[Measure, ...] = ()
    orders: tuple[Order, ...] = ()
    tasks: tuple[Task, ...] = ()
    objections: tuple[Objection, ...] = ()
    leads_only: bool = False


class ActionOutcome(StrEnum):
    """APPLIED changed the case; REFUSED did not, `why` says so; ECHO is a request that was already applied."""

    APPLIED = "applied"
    REFUSED = "refused"
    ECHO = "echo"


class Verdict(Stored):
    """What a disposal says of the case's subjects. `confirmed_until_ms`: until when it counts against them; 0: it does not."""

    tokens: tuple[Name, ...]
    confirmed_until_ms: int


class Used(Stored):
    """How often the case's orders of one kind count against the cap of an account (decision 15)."""

    kind: Name
    recipient: PartyId
    token: Name
    times: int = Field(ge=0)


class CaseChange(Stored):
    """The value of `cases.changed.v1`: what became of one action. `case` is whole when it was applied.

    `origin` (`partition:offset`) is the source of a join, so that echoes of it are known after a rebuild. `left` is the queue
    that the case is not in any more. `notices` must reach whom they name, `follows` are requests about other cases: the stage
    `deliver` sees to both. `moves`: of a refused action, those that are open. `counted` is what it changed of the scorecards,
    `used`, when orders changed, how often the case ordered something about each account.
    """

    action_id: str | None
    case_id: str | None
    kind: ActionKind | None
    outcome: ActionOutcome
    at: Instant
    actor: str
    why: str | None = None
    problem: str | None = None
    revision: int | None = None
    origin: str | None = None
    case: Case | None = None
    verdict: Verdict | None = None
    left: str | None = None
    notices: tuple[Notice, ...] = ()
    follows: tuple[Action, ...] = ()
    moves: tuple[Name, ...] = ()
    counted: Counted | None = None
    used: tuple[Used, ...] = ()
