"""Response models of orders, dissuasions, measures, appeals and deadlines, by reader.

Invariant: an institution, or a unit that received a letter, reads no officer's name of the agency and nobody else's work. Values
are opened for the party that must act on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from pydantic import BaseModel

from gateway.http.call import Call
from gateway.http.caller import Caller, Role
from gateway.http.responses import copy_fields, words
from gateway.http.unsealing import SubjectOut, opened, subject_out, text_of
from schemas.appeals import Appeal
from schemas.cases.case import Case, CaseTransfer
from schemas.common import Instant
from schemas.deadlines import Deadline
from schemas.dissuasion import Attempt, Dissuasion
from schemas.measures import Measure
from schemas.orders.kinds import ABOUT_ANOTHER
from schemas.orders.order import Order
from schemas.security import Sealer
from stream_processors.domain.state_machine import ActorRole as Part
from stream_processors.views.allowed_actions import appeal_moves, dissuasion_moves, is_above_reported, order_moves, unit_of


class VerifyOut(BaseModel):
    """The transfer to compare with the institution's own books."""

    name: str | None = None
    account: str | None = None
    amount_minor: int | None = None
    occurred_at: Instant | None = None


class OrderMovedOut(BaseModel):
    at: Instant
    actor: str
    event: str
    state: str


class OrderOut(BaseModel):
    """An order, for its recipient and the agency. `allowed_transitions`: the actions allowed to the caller now (for the
    recipient: the `result` of an answer). Only the agency sees the requester, the approver and the history. `partial`: a partial
    release of `amount_minor`; the rest of the order `related_order_id` stays held."""

    order_id: str
    kind: str
    case_id: str
    agency: str
    recipient: str
    state: str
    drafted_at: Instant
    basis: str
    subject: SubjectOut | None = None
    verify: VerifyOut | None = None
    verify_fields: list[str]
    amount_minor: int | None = None
    currency: str | None = None
    related_order_id: str | None = None
    text: str | None = None
    issued_at: Instant | None = None
    delivered_at: Instant | None = None
    verified_at: Instant | None = None
    executed_at: Instant | None = None
    ended_at: Instant | None = None
    lifted_at: Instant | None = None
    valid_until: Instant | None = None
    renewals: int
    answer_by: Instant | None = None
    overdue: bool
    late: bool
    held_minor: int
    paid_minor: int
    preserve_records: bool
    preserve_records_until: Instant | None = None
    refusal_reason: str | None = None
    mismatched_fields: list[str]
    answer: str | None = None
    method: str | None = None
    public_notice_until: Instant | None = None
    partial: bool = False
    allowed_transitions: list[str]
    issued_by: str | None = None
    approved_by: str | None = None
    dual_approval: bool | None = None
    traced_minor: int | None = None
    history: list[OrderMovedOut] | None = None


class MeasureOut(BaseModel):
    """A measure as the case records it. `late`: it came after its deadline; `done_late`: it was also done after it.
    `exceeds_reported_amount`: it holds more than the case's reports name; for officers only."""

    measure_id: str
    case_id: str
    institution: str
    kind: str
    done_at: Instant
    recorded_at: Instant
    signal_id: str | None = None
    channel: str | None = None
    reaction: str | None = None
    target: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    until: Instant | None = None
    reported_to: str | None = None
    agency_reference: str | None = None
    note: str | None = None
    late: bool
    done_late: bool
    exceeds_reported_amount: bool | None = None


class AttemptOut(BaseModel):
    attempt_id: str
    party: str
    party_type: str
    channel: str
    at: Instant
    done_at: Instant
    result: str
    caller: str | None = None
    conversation: str | None = None


class ReachOut(BaseModel):
    party: str
    party_type: str


class DissuasionOut(BaseModel):
    """A dissuasion. A party that can reach the person sees the person, whether it is taken, and its own attempts."""

    dissuasion_id: str
    case_id: str
    agency: str
    person: SubjectOut
    state: str
    opened_at: Instant
    changed_at: Instant
    taken: bool
    taken_by: str | None = None
    taken_at: Instant | None = None
    first_attempt_at: Instant | None = None
    attempt_count: int
    missed_deadlines: int
    attempts: list[AttemptOut]
    reachable_by: list[ReachOut] | None = None
    outcome: str | None = None
    prevented_loss_minor: int | None = None
    currency: str | None = None
    ended_at: Instant | None = None
    allowed_transitions: list[str]


class AppealOut(BaseModel):
    """An appeal. Its texts are for the agency and for the channel it was filed through. `pending_parties` and `confirmed_parties`
    list who has to release and who has; an institution reads its own duty in `allowed_transitions`."""

    appeal_id: str
    case_id: str
    state: str
    filed_through: str | None = None
    filed_at: Instant
    changed_at: Instant
    orders: list[str]
    text: str | None = None
    notice_given_at: Instant | None = None
    notice: str | None = None
    decided_at: Instant | None = None
    decided_by: str | None = None
    reasons: str | None = None
    released_at: Instant | None = None
    completed_at: Instant | None = None
    pending_parties: list[str] | None = None
    confirmed_parties: list[str] | None = None
    allowed_transitions: list[str]


class DeadlineOut(BaseModel):
    """A deadline of the case. `about`: its order, dissuasion, appeal or institution; `run`: for an institution the
    number among its own of this name; `late`: the act that stopped it came after `due_at`; `estimated`: the computation passed a
    year without known days off."""

    name: str
    run: int
    about: str | None = None
    unit: str | None = None
    state: str
    started_at: Instant
    due_at: Instant
    fired_at: Instant | None = None
    stopped_at: Instant | None = None
    late: bool | None = None
    estimated: bool


class TransferOut(BaseModel):
    at: Instant
    transferred_by: str
    from_queue: str
    to_queue: str
    note: str | None = None


_PARTIES_OF_APPEAL = ("pending_parties", "confirmed_parties", "filed_through", "decided_by")
_MADE_OF_ORDER = (
    *("basis", "subject", "verify", "text", "answer", "allowed_transitions"),
    *("history", "issued_by", "approved_by", "dual_approval", "traced_minor"),
)


class CaseRenderer(NamedTuple):
    """Renders for the caller. `is_officer`: the agency's view."""

    sealer: Sealer
    caller: Caller

    @property
    def is_officer(self) -> bool:
        return self.caller.role is Role.OFFICER

    @property
    def part(self) -> Part:
        return Part.OFFICER if self.is_officer else Part.INSTITUTION

    def is_theirs(self, order: Order, case: Case) -> bool:
        """Whether the caller is an officer of the agency that issued it, or of the one that has the case now."""
        mine = self.caller.may_work_on
        return self.is_officer and (mine(case.queue) or mine(order.agency))

    def answers_as(self, order: Order) -> str | None:
        """The party as which the caller may answer it: an institution as itself; an officer as the unit that received the
        letter."""
        if not self.is_officer:
            return self.caller.subject if order.recipient == self.caller.subject and order.issued_at is not None else None
        unit = unit_of(order)
        return unit if unit is not None and self.caller.may_work_on(unit) else None

    def _roles_of(self, order: Order, complete: bool) -> list[Part]:
        parts = [Part.OFFICER] if complete else []
        return [*parts, Part.UNIT if self.is_officer else Part.INSTITUTION] if self.answers_as(order) is not None else parts

    def order(self, order: Order, case: Case) -> OrderOut:
        name, complete = order.order_id, self.is_theirs(order, case)
        members = copy_fields(OrderOut, order, *_MADE_OF_ORDER)
        if complete:
            members |= {"issued_by": order.issued_by, "approved_by": order.approved_by, "dual_approval": order.dual_approval}
            members |= {"traced_minor": order.traced_minor}
            members["history"] = [copy_fields(OrderMovedOut, moved) for moved in order.history]
        return OrderOut(
            **members,
            basis=text_of(self.sealer, order.basis, order.basis_sealed, f"{name}/basis") or "",
            subject=self._subject_of(order, case) if order.subject else None,
            verify=self._verify_out(order) if order.verify else None,
            text=opened(self.sealer, order.text_sealed, f"{name}/text"),
            answer=opened(self.sealer, order.answer_sealed, f"{name}/answer"),
            allowed_transitions=words([move for part in self._roles_of(order, complete) for move in order_moves(order, part)]),
        )

    def _subject_of(self, order: Order, case: Case) -> SubjectOut:
        assert order.subject is not None
        tried = [subject_out(order.subject, owner, self.sealer) for owner in _list_owners(order, case)]
        return next((subject for subject in tried if subject.value is not None), tried[0])

    def _verify_out(self, order: Order) -> VerifyOut:
        verify, name = order.verify, order.order_id
        assert verify is not None
        return VerifyOut(
            name=opened(self.sealer, verify.name_sealed, f"{name}/name"),
            account=opened(self.sealer, verify.account_sealed, f"{name}/account"),
            amount_minor=verify.amount_minor,
            occurred_at=verify.occurred_at,
        )

    def measure(self, measure: Measure, case: Case) -> MeasureOut:
        return MeasureOut(
            **copy_fields(MeasureOut, measure, "case_id", "agency_reference", "note", "exceeds_reported_amount"),
            case_id=case.case_id,
            agency_reference=opened(self.sealer, measure.agency_reference_sealed, f"{measure.measure_id}/reference"),
            note=opened(self.sealer, measure.note_sealed, f"{measure.measure_id}/note"),
            exceeds_reported_amount=is_above_reported(measure, case.amount_minor) if self.is_officer else None,
        )

    def dissuasion(self, dissuasion: Dissuasion) -> DissuasionOut:
        members = copy_fields(
            DissuasionOut, dissuasion, "person", "attempts", "reachable_by", "taken_by", "taken", "allowed_transitions"
        )
        mine = [attempt for attempt in dissuasion.attempts if self.is_officer or attempt.party == self.caller.subject]
        if self.is_officer or dissuasion.taken_by == self.caller.subject:
            members["taken_by"] = dissuasion.taken_by
        return DissuasionOut(
            **members,
            person=subject_out(dissuasion.person, dissuasion.dissuasion_id, self.sealer),
            taken=dissuasion.taken_by is not None,
            attempts=[self._attempt_out(attempt, dissuasion) for attempt in mine],
            reachable_by=[ReachOut(party=reach.party, party_type=reach.party_type) for reach in dissuasion.reachable_by]
            if self.is_officer
            else None,
            allowed_transitions=words(dissuasion_moves(dissuasion, self.part)),
        )

    def _attempt_out(self, attempt: Attempt, dissuasion: Dissuasion) -> AttemptOut:
        context = f"{dissuasion.dissuasion_id}/{attempt.attempt_id}"
        return AttemptOut(
            **copy_fields(AttemptOut, attempt, "caller", "conversation"),
            caller=opened(self.sealer, attempt.caller_sealed, context),
            conversation=opened(self.sealer, attempt.conversation_sealed, context),
        )

    def appeal(self, appeal: Appeal, case: Case) -> AppealOut:
        caller = self.caller.subject
        party, officer = (case.queue, caller) if self.is_officer else (caller, None)
        members = copy_fields(AppealOut, appeal, *_PARTIES_OF_APPEAL, "text", "notice", "reasons", "allowed_transitions")
        if not self.is_officer and appeal.filed_through != caller:
            own = {order.order_id for order in own_orders(case, caller)}
            members["orders"] = [name for name in appeal.orders if name in own]
        if self.is_officer:
            members |= {
                "pending_parties": appeal.pending_parties,
                "confirmed_parties": appeal.confirmed_parties,
                "decided_by": appeal.decided_by,
            }
        if self.is_officer or appeal.filed_through == caller:
            members["filed_through"] = appeal.filed_through
            members["text"] = opened(self.sealer, appeal.text_sealed, f"{appeal.appeal_id}/text")
            members["notice"] = opened(self.sealer, appeal.notice_sealed, f"{appeal.appeal_id}/notice")
            members["reasons"] = opened(self.sealer, appeal.reasons_sealed, f"{appeal.appeal_id}/reasons")
        return AppealOut(**members, allowed_transitions=words(appeal_moves(appeal, case, party, officer)))

    def transfer(self, transfer: CaseTransfer, case: Case) -> TransferOut:
        return TransferOut(
            **copy_fields(TransferOut, transfer, "note"), note=opened(self.sealer, transfer.note_sealed, f"{case.case_id}/note")
        )


def teller(call: Call) -> CaseRenderer:
    """What the caller of this request is told."""
    return CaseRenderer(call.services.sealer, call.caller)


def deadline_out(clock: Deadline) -> DeadlineOut:
    return DeadlineOut(**copy_fields(DeadlineOut, clock))


def own_orders(case: Case, institution: str) -> list[Order]:
    """Orders that were sent to it: an order that awaits approval is visible to nobody outside."""
    return [order for order in case.orders if order.recipient == institution and order.issued_at is not None]


def own_dissuasions(case: Case, institution: str) -> list[Dissuasion]:
    return [dissuasion for dissuasion in case.dissuasions if any(reach.party == institution for reach in dissuasion.reachable_by)]


def own_appeals(case: Case, institution: str) -> list[Appeal]:
    """Appeals that it filed, and those that it has to release for."""
    return [
        appeal
        for appeal in case.appeals
        if institution in (appeal.filed_through, *appeal.pending_parties, *appeal.confirmed_parties)
    ]


def own_deadlines(case: Case, institution: str) -> list[Deadline]:
    """Its own deadlines, and those of resources that it may see."""
    mine = {institution}
    mine |= {order.order_id for order in own_orders(case, institution)} | {
        dissuasion.dissuasion_id for dissuasion in own_dissuasions(case, institution)
    }
    mine |= {appeal.appeal_id for appeal in own_appeals(case, institution)}
    runs: Counter[tuple[str, str | None]] = Counter()
    own = []
    for clock in case.deadlines:
        if clock.about in mine:
            runs[clock.name, clock.about] += 1
            own.append(clock.model_copy(update={"run": runs[clock.name, clock.about]}))
    return own


def _list_owners(order: Order, case: Case) -> Iterator[str]:
    """The possible contexts of the subject: a release or return without one of its own has that of its related order."""
    visited: set[str] = set()
    holder: Order | None = order
    while holder is not None and holder.order_id not in visited:
        yield holder.order_id
        visited.add(holder.order_id)
        about = holder.related_order_id if holder.kind in ABOUT_ANOTHER else None
        holder = next((other for other in case.orders if other.order_id == about), None)
        if holder is None and about is not None:
            yield about
