"""What is told of orders, tasks, measures, objections and clocks, each to those who may know it.

Invariant: an institution, or a unit that a letter went to, reads no officer's name of the agency and no other's work; values are
opened for whoever must act on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from gateway.commands.sealing import ANSWERS
from gateway.http.unsealing import SubjectOut, opened, subject_out, text_of
from gateway.security.auth import Caller, Role
from schemas.appeals import Objection
from schemas.cases.case import Case, Moved
from schemas.common import Instant
from schemas.deadlines import Clock
from schemas.dissuasion import Attempt, Task
from schemas.measures import Measure
from schemas.orders.order import Order, OrderKind
from schemas.security import Sealer
from stream_processors.domain.state_machine import Role as Part
from stream_processors.views.allowed_actions import is_above_reported, objection_moves, order_moves, task_moves, unit_of

_WORDS = {event.value: word for word, event in ANSWERS.items()} | {"try": "tries", "succeed": "tries"}


def words(moves: tuple[str, ...] | list[str]) -> list[str]:
    """Moves as the interface names them: the last part of an address, or the `result` of an answer."""
    return list(dict.fromkeys(_WORDS.get(one, one.replace("_", "-")) for one in moves))


class VerifyOut(BaseModel):
    """The transfer, to be compared with the institution's own books."""

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
    """An order, to its recipient and to the agency. `moves`: what is open to the caller now (to the recipient: as `result` of an
    answer). Who asked, who agreed and the history are the agency's alone. `part`: a release of `amount_minor` alone; the rest of
    the order `of` holds on."""

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
    of: str | None = None
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
    preserve: bool
    preserve_until: Instant | None = None
    refusal: str | None = None
    mismatched: list[str]
    answer: str | None = None
    method: str | None = None
    notice_until: Instant | None = None
    part: bool = False
    moves: list[str]
    issued_by: str | None = None
    approved_by: str | None = None
    four_eyes: bool | None = None
    traced_minor: int | None = None
    history: list[OrderMovedOut] | None = None


class MeasureOut(BaseModel):
    """A measure as the case keeps it. `late`: it came after its clock had run out; `done_late`: it was done after that, too.
    `above_reported`: it holds more than the case's reports name; for officers alone."""

    measure_id: str
    case_id: str
    institution: str
    kind: str
    done_at: Instant
    at: Instant
    signal_id: str | None = None
    channel: str | None = None
    reaction: str | None = None
    what: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    until: Instant | None = None
    reported_to: str | None = None
    reference: str | None = None
    note: str | None = None
    late: bool
    done_late: bool
    above_reported: bool | None = None


class AttemptOut(BaseModel):
    attempt_id: str
    party: str
    way: str
    channel: str
    at: Instant
    done_at: Instant
    result: str
    caller: str | None = None
    said: str | None = None


class ReachOut(BaseModel):
    party: str
    way: str


class TaskOut(BaseModel):
    """A dissuasion task. To who can reach the person: the person, whether somebody works on it, and the attempts of its own."""

    task_id: str
    case_id: str
    agency: str
    person: SubjectOut
    state: str
    opened_at: Instant
    changed_at: Instant
    taken: bool
    taken_by: str | None = None
    taken_at: Instant | None = None
    first_tried_at: Instant | None = None
    tries: int
    missed: int
    attempts: list[AttemptOut]
    reach: list[ReachOut] | None = None
    outcome: str | None = None
    saved_minor: int | None = None
    currency: str | None = None
    ended_at: Instant | None = None
    moves: list[str]


class ObjectionOut(BaseModel):
    """An objection. Its texts are for the agency and for the door that the person came by. `pending` and `confirmed` are who
    has to release, and has; an institution reads whether itself does, in `moves`."""

    objection_id: str
    case_id: str
    state: str
    through: str | None = None
    lodged_at: Instant
    changed_at: Instant
    orders: list[str]
    text: str | None = None
    noticed_at: Instant | None = None
    notice: str | None = None
    decided_at: Instant | None = None
    decided_by: str | None = None
    reasons: str | None = None
    released_at: Instant | None = None
    propagated_at: Instant | None = None
    pending: list[str] | None = None
    confirmed: list[str] | None = None
    moves: list[str]


class ClockOut(BaseModel):
    """A clock of the case. `about`: the order, task, objection or institution that it is for; `run`: to an institution the number
    among its own of this name; `late`: what stopped it came after `due_at`; `estimated`: days off of a year that is not known yet
    were reckoned through."""

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
    by: str
    came_from: str
    to: str
    note: str | None = None


class Teller(NamedTuple):
    """What the caller is told. `whole`: the agency's view."""

    sealer: Sealer
    caller: Caller

    @property
    def whole(self) -> bool:
        return self.caller.role is Role.OFFICER

    @property
    def part(self) -> Part:
        return Part.OFFICER if self.whole else Part.INSTITUTION

    def is_theirs(self, one: Order, case: Case) -> bool:
        """Whether the caller is an officer of the agency that issued it, or of the one that has the case now."""
        mine = self.caller.may_work_on
        return self.whole and (mine(case.queue) or mine(one.agency))

    def answers_as(self, one: Order) -> str | None:
        """As whom the caller may answer it: an institution as itself, of a letter an officer as the unit that it went to."""
        if not self.whole:
            return self.caller.subject if one.recipient == self.caller.subject and one.issued_at is not None else None
        unit = unit_of(one)
        return unit if unit is not None and self.caller.may_work_on(unit) else None

    def _parts(self, one: Order, whole: bool) -> list[Part]:
        found = [Part.OFFICER] if whole else []
        return [*found, Part.UNIT if self.whole else Part.INSTITUTION] if self.answers_as(one) is not None else found

    def order(self, one: Order, case: Case) -> OrderOut:
        name, whole = one.order_id, self.is_theirs(one, case)
        told = _plain(
            OrderOut, one, "basis", "subject", "verify", "history", "issued_by", "approved_by", "four_eyes", "traced_minor"
        )
        if whole:
            told |= {"issued_by": one.issued_by, "approved_by": one.approved_by, "four_eyes": one.four_eyes}
            told |= {"traced_minor": one.traced_minor}
            told["history"] = [_plain(OrderMovedOut, moved) for moved in one.history]
        return OrderOut(
            **told,
            basis=text_of(self.sealer, one.basis, one.basis_sealed, f"{name}/basis") or "",
            subject=self._subject(one, case) if one.subject else None,
            verify=self._verify(one) if one.verify else None,
            text=opened(self.sealer, one.text_sealed, f"{name}/text"),
            answer=opened(self.sealer, one.answer_sealed, f"{name}/answer"),
            moves=words([move for part in self._parts(one, whole) for move in order_moves(one, part)]),
        )

    def _subject(self, one: Order, case: Case) -> SubjectOut:
        assert one.subject is not None
        tried = [subject_out(one.subject, owner, self.sealer) for owner in _owners(one, case)]
        return next((told for told in tried if told.value is not None), tried[0])

    def _verify(self, one: Order) -> VerifyOut:
        verify, name = one.verify, one.order_id
        assert verify is not None
        return VerifyOut(
            name=opened(self.sealer, verify.name_sealed, f"{name}/name"),
            account=opened(self.sealer, verify.account_sealed, f"{name}/account"),
            amount_minor=verify.amount_minor,
            occurred_at=verify.occurred_at,
        )

    def measure(self, one: Measure, case: Case) -> MeasureOut:
        return MeasureOut(
            **_plain(MeasureOut, one, "reference", "above_reported"),
            case_id=case.case_id,
            reference=text_of(self.sealer, one.reference, one.reference_sealed, f"{one.measure_id}/reference"),
            note=opened(self.sealer, one.note_sealed, f"{one.measure_id}/note"),
            above_reported=is_above_reported(one, case.amount_minor) if self.whole else None,
        )

    def task(self, one: Task) -> TaskOut:
        told = _plain(TaskOut, one, "person", "attempts", "reach", "taken_by")
        mine = [attempt for attempt in one.attempts if self.whole or attempt.party == self.caller.subject]
        if self.whole or one.taken_by == self.caller.subject:
            told["taken_by"] = one.taken_by
        return TaskOut(
            **told,
            person=subject_out(one.person, one.task_id, self.sealer),
            taken=one.taken_by is not None,
            attempts=[self._attempt(attempt, one) for attempt in mine],
            reach=[ReachOut(party=reach.party, way=reach.way) for reach in one.reach] if self.whole else None,
            moves=words(task_moves(one, self.part)),
        )

    def _attempt(self, attempt: Attempt, task: Task) -> AttemptOut:
        context = f"{task.task_id}/{attempt.attempt_id}"
        return AttemptOut(
            **_plain(AttemptOut, attempt),
            caller=opened(self.sealer, attempt.caller_sealed, context),
            said=opened(self.sealer, attempt.said_sealed, context),
        )

    def objection(self, one: Objection, case: Case) -> ObjectionOut:
        caller = self.caller.subject
        party, officer = (case.queue, caller) if self.whole else (caller, None)
        told = _plain(ObjectionOut, one, "pending", "confirmed", "through", "decided_by")
        if not self.whole and one.through != caller:
            own = {order.order_id for order in own_orders(case, caller)}
            told["orders"] = [name for name in one.orders if name in own]
        if self.whole:
            told |= {"pending": one.pending, "confirmed": one.confirmed, "decided_by": one.decided_by}
        if self.whole or one.through == caller:
            told["through"] = one.through
            told["text"] = opened(self.sealer, one.text_sealed, f"{one.objection_id}/text")
            told["notice"] = opened(self.sealer, one.notice_sealed, f"{one.objection_id}/notice")
            told["reasons"] = opened(self.sealer, one.reasons_sealed, f"{one.objection_id}/reasons")
        return ObjectionOut(**told, moves=words(objection_moves(one, case, party, officer)))

    def transfer(self, one: Moved, case: Case) -> TransferOut:
        return TransferOut(**_plain(TransferOut, one), note=opened(self.sealer, one.note_sealed, f"{case.case_id}/note"))


def clock_out(one: Clock) -> ClockOut:
    return ClockOut(**_plain(ClockOut, one))


def own_orders(case: Case, institution: str) -> list[Order]:
    """Those that were sent to it: one that waits for a second person is nobody's outside."""
    return [one for one in case.orders if one.recipient == institution and one.issued_at is not None]


def own_tasks(case: Case, institution: str) -> list[Task]:
    return [one for one in case.tasks if any(reach.party == institution for reach in one.reach)]


def own_objections(case: Case, institution: str) -> list[Objection]:
    """Those that came through it, and those that it has to release for."""
    return [one for one in case.objections if institution in (one.through, *one.pending, *one.confirmed)]


def own_clocks(case: Case, institution: str) -> list[Clock]:
    """Its own, and those of what it may see."""
    mine = {institution}
    mine |= {one.order_id for one in own_orders(case, institution)} | {one.task_id for one in own_tasks(case, institution)}
    mine |= {one.objection_id for one in own_objections(case, institution)}
    runs: Counter[tuple[str, str | None]] = Counter()
    own = []
    for clock in case.clocks:
        if clock.about in mine:
            runs[clock.name, clock.about] += 1
            own.append(clock.model_copy(update={"run": runs[clock.name, clock.about]}))
    return own


def _owners(one: Order, case: Case) -> Iterator[str]:
    """In whose context the subject may lie: a release or return without one of its own has that of the order that it is about."""
    seen: set[str] = set()
    found: Order | None = one
    while found is not None and found.order_id not in seen:
        yield found.order_id
        seen.add(found.order_id)
        about = found.of if found.kind in (OrderKind.RELEASE, OrderKind.RETURN_FUNDS) else None
        found = next((other for other in case.orders if other.order_id == about), None)
        if found is None and about is not None:
            yield about


def _plain(model: type[BaseModel], one: BaseModel, *less: str) -> dict[str, Any]:
    """The members that the record has under the same name."""
    names = set(model.model_fields) & set(type(one).model_fields) - set(less)
    return {name: getattr(one, name) for name in names}
