"""The members of a fact that projections read. The rest of a case is kept as it came, unread.

Structs, not models: our own stages wrote these records, and reading them is the larger half of a rebuild. They have the same
members as the models, so the pure core takes either.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
import orjson
from pydantic import create_model

from schemas.cases.case import ActionKind, ActionOutcome, Case, CaseStatus
from schemas.common import Stored
from schemas.deadlines import DeadlineStep
from schemas.notifications.delivery import DeliveryState, Way
from schemas.signals.assessed import AssessOutcome
from schemas.signals.receipts import RawOutcome
from schemas.signals.retraction import name_of
from schemas.signals.submission import ScamStage, SignalKind
from stream_processors.state.scorecard_views import CountedRow, Named, Row, Utc

Until = Annotated[int, msgspec.Meta(ge=0, lt=1 << 47)]
"""Milliseconds since 1970, six bytes in Redis."""


class RawRow(Row):
    """A view of RawReceipt: its origin, in the envelope, is enough for the position in the raw topic."""

    outcome: RawOutcome


class SubjectRow(Row):
    token: str
    role: str = "suspect"
    event_role: str | None = None
    unmatched: str | None = None
    kind: str = ""
    hub: str | None = None
    derived: bool = False


class RouteRow(Row):
    queue: Named
    case_id: Named


class ReasonRow(Row):
    rule: str
    points: int
    evidence: dict[str, int | str] = {}


class EventRow(Row):
    """A view of EventFact: the members that leave evidence (domain/signals/evidence_sets.py)."""

    type: str
    at: Utc
    amount_minor: int | None = None
    currency: str | None = None
    payer: str | None = None
    payee: str | None = None


class StandingRow(Row):
    """A view of Standing: the contribution to remove."""

    signal_id: str
    version: int
    institution: str
    content_id: str
    primary: str
    sighting_tokens: tuple[str, ...] = ()
    traces: tuple[tuple[str, str, str], ...] = ()
    is_last_of_content: bool = False

    @property
    def name(self) -> str:
        return name_of(self.signal_id, self.version)


class AssessedRow(Row):
    """A view of AssessedSignal for the state of assess."""

    outcome: AssessOutcome
    emitted: int
    accepted_at: Utc
    signal_id: str | None = None
    institution: str | None = None
    kind: SignalKind | None = None
    occurred_at: Utc | None = None
    detected_at: Utc | None = None
    amount_minor: int | None = None
    currency: str | None = None
    subjects: tuple[SubjectRow, ...] = ()
    content_id: str | None = None
    body_id: str | None = None
    score: int = 0
    routes: tuple[RouteRow, ...] = ()
    claims_until_ms: Until = 0
    sightings_until_ms: Until = 0
    victims_until_ms: Until = 0
    cases_until_ms: Until = 0
    stage: ScamStage | None = None
    derived_from: str | None = None
    event: EventRow | None = None
    trust: str | None = None
    version: int = 1
    below_version: int = 0
    retracted_contributions: tuple[StandingRow, ...] = ()


class UndoneRow(Row):
    """A view of Standing for the scorecards: the report to remove from its period."""

    institution: str
    kind: SignalKind
    trust: str | None = None
    accepted_at: Utc | None = None
    known_at: Utc | None = None


class ReceiptRow(Row):
    """A view of AssessedSignal for receipts, counters, the index and the scorecards."""

    outcome: AssessOutcome
    accepted_at: Utc
    signal_id: str | None = None
    duplicate_of: str | None = None
    institution: str | None = None
    score: int = 0
    severity: str = "none"
    sender_severity: str | None = None
    subjects: tuple[SubjectRow, ...] = ()
    reasons: tuple[ReasonRow, ...] = ()
    routes: tuple[RouteRow, ...] = ()
    policy: str = ""
    cases_until_ms: Until = 0
    version: int = 1
    below_version: int = 0
    kind: SignalKind | None = None
    occurred_at: Utc | None = None
    detected_at: Utc | None = None
    trust: str | None = None
    retracted_contributions: tuple[UndoneRow, ...] = ()


class _Verdict(Row):
    tokens: tuple[str, ...]
    confirmed_until_ms: Until


class VerdictRow(Row):
    """A view of CaseChange for verdicts: most changes have none, and no other member is read."""

    case_id: str | None = None
    verdict: _Verdict | None = None


class MovedRow(Row):
    to_queue: str


class CaseRow(Row):
    """A view of Case: its place in a queue."""

    case_id: Named
    queue: Named
    revision: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    status: CaseStatus
    score: int
    opened_at: Utc
    severity: str = "none"
    transfers: tuple[MovedRow, ...] = ()


class FollowRow(Row):
    """A view of Action: whether it is the same one again, at another case."""

    action_id: str


class UsedRow(Row):
    kind: str
    recipient: str
    token: str
    count: int


class _Accepted(Row):
    accepted_at: Utc


class _Newest(Row):
    signals: tuple[_Accepted, ...] = ()


_CASE, _NEWEST = msgspec.json.Decoder(CaseRow), msgspec.json.Decoder(_Newest)


class ChangeRow(Row):
    """A view of CaseChange. `case_json` is the case as it came, `case` its place in a queue."""

    action_id: str | None
    case_id: str | None
    kind: ActionKind | None
    outcome: ActionOutcome
    at: Utc
    actor: str
    detail: str | None = None
    problem: str | None = None
    revision: int | None = None
    origin: str | None = None
    allowed_transitions: tuple[str, ...] = ()
    left_queue: str | None = None
    follow_ups: tuple[FollowRow, ...] = ()
    figure_changes: CountedRow | None = None
    order_counts: tuple[UsedRow, ...] = ()
    raw: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"), name="case")
    case: CaseRow | None = msgspec.field(default=None, name="none in a record")

    def __post_init__(self) -> None:
        self.case = _CASE.decode(self.raw) if self.case_json != b"null" else None

    @property
    def case_json(self) -> bytes:
        return bytes(self.raw)

    @property
    def sent_on(self) -> bool:
        """Whether the action itself goes on to another case: its outcome is in a fact of another partition."""
        return any(follow.action_id == self.action_id for follow in self.follow_ups)

    def answer(self) -> bytes:
        """The change without its case, for the sender of the action (a CaseChange again)."""
        names = (
            "action_id",
            "case_id",
            "kind",
            "outcome",
            "at",
            "actor",
            "detail",
            "problem",
            "revision",
            "origin",
            "allowed_transitions",
        )
        return orjson.dumps({name: getattr(self, name) for name in names}, option=orjson.OPT_UTC_Z)

    def newest_accepted(self) -> datetime | None:
        """When the newest signal of the case was accepted; None if its record does not tell."""
        try:
            signals = _NEWEST.decode(self.raw).signals
        except msgspec.MsgspecError:
            return None
        return signals[0].accepted_at if signals else None


class AskingRow(Row):
    """A view of CaseChange for its requests to the stage `deliver`; most have none, and no other member is read."""

    at: Utc
    notifications: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"[]"))
    follow_ups: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"[]"))
    case: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"))

    @property
    def asks(self) -> bool:
        return bytes(self.notifications) != b"[]" or bytes(self.follow_ups) != b"[]"


class _NotificationRow(Row):
    notification_id: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    recipient: Named
    case_id: Named
    at: Utc


_NOTICE = msgspec.json.Decoder(_NotificationRow)


class IssuedRow(Row):
    """A view of Issued: its place in the recipient's inbox, and the shown part as it came."""

    raw: msgspec.Raw = msgspec.field(name="notification")
    order: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"))
    dissuasion: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"))
    notification: _NotificationRow | None = msgspec.field(default=None, name="none in a record")

    def __post_init__(self) -> None:
        self.notification = _NOTICE.decode(self.raw)

    def shown(self) -> bytes:
        """An Issued again, without the position of the stage."""
        return b'{"notification":%s,"order":%s,"dissuasion":%s}' % (bytes(self.raw), bytes(self.order), bytes(self.dissuasion))


class MarkRow(Row):
    """A view of DeliveryMark."""

    recipient: Named
    notification_id: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    state: DeliveryState
    at: Utc
    channel: Way
    attempt: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    detail: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    notified_at: Utc | None = None
    endpoint_id: Named | None = None


class SettledRow(Row):
    change_offset: Annotated[int, msgspec.Meta(ge=0, lt=1 << 52)]
    action_offset: Annotated[int, msgspec.Meta(ge=0, lt=1 << 52)]


class PlaceRow(Row):
    """A view of Issued: the progress of the stage."""

    progress: SettledRow | None = None


class DeadlineRow(Row):
    """A view of Deadline: its next moment."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{1,47}$")]
    run: Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
    step: DeadlineStep | None = None
    next_at: Utc | None = None


class DeadlineedRow(Row):
    case_id: Named
    revision: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    deadlines: Annotated[tuple[DeadlineRow, ...], msgspec.Meta(max_length=255)] = ()


class DueRow(Row):
    """A view of CaseChange for the future moments of the case's deadlines."""

    at: Utc
    case: DeadlineedRow | None = None


_DONE_ABOUT_IT = ("deadlines", "measures", "orders", "dissuasions", "appeals", "transfers", "split_off")
_NOT_LISTED = ("signals", "applied", "note_sealed", *_DONE_ABOUT_IT)
_LISTED: dict[str, Any] = {
    name: (field.annotation, field) for name, field in Case.model_fields.items() if name not in _NOT_LISTED
}
ListedCase = create_model("ListedCase", __base__=Stored, **_LISTED)
"""A view of Case without the members that a list omits, so that the signals of a large case cost nothing."""


class NamesRow(Row):
    """A view of JoinedSignal: its subjects."""

    subjects: tuple[SubjectRow, ...]


class NamedRow(Row):
    """A view of Case: the subjects of its signals."""

    signals: tuple[NamesRow, ...]


def is_hub_in(case: bytes, token: str) -> bool:
    """Whether the subject was a hub in a signal that the case (its JSON) lists."""
    signals = msgspec.json.decode(case, type=NamedRow).signals
    return any(subject.token == token and subject.hub is not None for signal in signals for subject in signal.subjects)
