"""What else happens to a case: dissuasion tasks, objections, and clocks that fall due. Pure.

Invariant: whatever a clock does it does once, for its run and step are named; a clock moves an order or a task only as that one's
own table allows, and people are told all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from schemas.appeals import Objection, ObjectionMove, ObjectionRequest, ObjectionState
from schemas.cases.case import Case
from schemas.deadlines import Clock, ClockStep, DutyRole
from schemas.dissuasion import OVER, Task, TaskEnd, TaskEvent, TaskEventKind
from schemas.measures import MeasureKind
from schemas.notices import Notice, NoticeKind
from schemas.orders.kinds import REPLACING, OrderKind
from schemas.orders.order import Order, OrderEvent, OrderEventKind
from stream_processors.domain import appeals, dissuasion
from stream_processors.domain.cases import orders as case_orders
from stream_processors.domain.cases.notifications import list_executed, make_notices
from stream_processors.domain.cases.step import CaseEffects, CaseStep
from stream_processors.domain.deadlines import deadlines as clocks
from stream_processors.domain.deadlines.deadlines import ReachedStep
from stream_processors.domain.notifications.notification import Notification, to_notice
from stream_processors.domain.orders.order_book import clock_event
from stream_processors.domain.orders.step import is_unlifted
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import ActorRole as Actor
from stream_processors.domain.state_machine import ClockStart, ClockStop, iso, party

MOST_TASKS = MOST_OBJECTIONS = 8
MOST_BY_ONE_DOOR = 3
"""Undecided appeals that one institution filed. Without a limit it could keep the bank of the person from filing any."""
_OVER = frozenset({ObjectionState.REJECTED, ObjectionState.PROPAGATED})


def move_task(step: CaseStep) -> CaseEffects | Refusal:
    """An event of one dissuasion task."""
    event, case = step.action.task, step.case
    assert event is not None
    return _task(step, case, event.model_copy(update={"event_id": step.action.action_id}))


def _task(step: CaseStep, case: Case, event: TaskEvent) -> CaseEffects | Refusal:
    listed = _with_room(case.tasks, event.task_id)
    current = next((task for task in case.tasks if task.task_id == event.task_id), None)
    if current is None and len(listed) >= MOST_TASKS:
        return Refusal("too-many-tasks", f"a case has at most {MOST_TASKS} unfinished dissuasion tasks")
    if current is not None:
        current = current.model_copy(update={"agency": case.queue})  # a task goes where its case goes
    change = dissuasion.decide(task=current, event=event, actor=step.actor, now=step.now)
    if change.task is None:
        return change.refused or Refusal("unknown-task", "there is no such dissuasion task")
    others = tuple(task for task in listed if task.task_id != event.task_id)
    return CaseEffects({"tasks": (*others, change.task)}, change.notices, change.starts, change.stops)


def call_off_all(step: CaseStep, done: CaseEffects) -> CaseEffects:
    """There is nobody to be warned any more: every task that is not over is called off, behind what was done already."""
    for task in step.case.tasks:
        if task.state in OVER:
            continue
        event = TaskEvent.trusted(
            event_id=step.action.action_id, task_id=task.task_id, kind=TaskEventKind.CANCEL, outcome=TaskEnd.NOT_AT_RISK
        )
        then = _task(step, step.case.model_copy(update=done.changes), event)
        if isinstance(then, CaseEffects):
            done = _both(done, then)
    return done


def _with_room(tasks: tuple[Task, ...], own: str) -> tuple[Task, ...]:
    """Without the oldest that is over, when full."""
    if len(tasks) < MOST_TASKS:
        return tasks
    dropped_id = next((task.task_id for task in tasks if task.state in OVER and task.task_id != own), None)
    return tuple(task for task in tasks if task.task_id != dropped_id)


def object_to(step: CaseStep) -> CaseEffects | Refusal:
    """A move of an objection (申诉)."""
    request, who = step.action.objection, party(step.actor)
    assert request is not None
    if who.role == Actor.INSTITUTION and who.id != request.party:
        return Refusal("forbidden", "an institution may act for itself only")
    if who.role == Actor.OFFICER and (request.officer != who.id or request.party != step.case.queue):
        return Refusal("forbidden", "an officer may act only for the unit that has the case")
    named = request.model_copy(update={"request_id": step.action.action_id, "case_id": step.case.case_id})
    return _object(step, step.case, named)


def _object(step: CaseStep, case: Case, request: ObjectionRequest) -> CaseEffects | Refusal:
    there = next((objection for objection in case.objections if objection.objection_id == request.objection_id), None)
    current = None if there is None else _followed(there, case.orders)
    others = _without(case.objections, request.objection_id, full=current is None)
    if current is None and len(others) >= MOST_OBJECTIONS:
        return Refusal("too-many-objections", f"a case has at most {MOST_OBJECTIONS} undecided appeals")
    if (
        current is None
        and sum(objection.through == request.party and objection.state not in _OVER for objection in others) >= MOST_BY_ONE_DOOR
    ):
        detail = f"one institution or agency may have at most {MOST_BY_ONE_DOOR} undecided appeals in a case"
        return Refusal("too-many-objections", detail)
    change = appeals.decide(request=request, objection=current, around=around(case), now=step.now)
    if change.refusal is not None:
        return change.refusal
    if change.objection is None:
        return CaseEffects({})
    changed = change.objection
    done = CaseEffects(
        {"objections": (*others, changed)},
        make_notices(change.notifications, step, changed.objection_id),
        tuple(ClockStart(name, changed.objection_id) for name in change.started),
        tuple(ClockStop(name, changed.objection_id) for name in change.stopped),
    )
    return _released(step, request, changed, done) if request.move is ObjectionMove.RELEASE else done


def _followed(objection: Objection, orders: Iterable[Order]) -> Objection:
    """With the orders that took the place of what it is about: the same money is held on."""
    names = dict.fromkeys(objection.orders)
    for order in orders:  # in the order of their issue
        if order.kind in REPLACING and order.of in names:
            names[order.order_id] = None
    return objection if len(names) == len(objection.orders) else objection.model_copy(update={"orders": tuple(names)})


def _without(objections: tuple[Objection, ...], own: str, *, full: bool) -> tuple[Objection, ...]:
    others = tuple(objection for objection in objections if objection.objection_id != own)
    dropped_id = next((objection.objection_id for objection in others if objection.state in _OVER), None) if full else None
    return (
        others
        if len(others) < MOST_OBJECTIONS
        else tuple(objection for objection in others if objection.objection_id != dropped_id)
    )


def around(case: Case) -> appeals.Around:
    """What an objection is against: what was executed and stands."""
    ordered = {name for order in case.orders for name in (order.issued_by, order.approved_by) if name}
    return appeals.Around(case.queue, list_executed(case), ordered)


def _released(step: CaseStep, request: ObjectionRequest, changed: Objection, done: CaseEffects) -> CaseEffects:
    """The release that was promised is ordered in the same step, so that it cannot be forgotten."""
    undone = case_orders.undo_all(step, changed.orders)
    return CaseEffects(
        {**done.changes, **undone.changes},
        (*done.notices, *undone.notices),
        (*done.starts, *undone.starts),
        (*done.stops, *undone.stops),
    )


def answered(step: CaseStep) -> CaseEffects | Refusal:
    """An event of an order; a recipient who says that nothing is held any more has thereby confirmed it to the objections that
    waited for just that."""
    outcome = case_orders.move_order(step)
    event, who = step.action.order, party(step.actor)
    assert event is not None
    if isinstance(outcome, Refusal) or who.role != Actor.INSTITUTION or not _lifts(event, step.case.orders):
        return outcome
    case = step.case.model_copy(update=outcome.changes)
    for objection in case.objections:
        if who.id not in objection.pending or any(_still_held(order, objection, who.id) for order in case.orders):
            continue
        if not objection.orders and any(own.institution == who.id and own.kind is MeasureKind.BLOCKED for own in case.measures):
            continue  # what it blocked by itself no order lifts; it says so by its own confirmation
        confirmation = ObjectionRequest.trusted(
            request_id=step.action.action_id,
            objection_id=objection.objection_id,
            case_id=case.case_id,
            move=ObjectionMove.CONFIRM,
            party=who.id,
        )
        then = _object(step, case, confirmation)
        if isinstance(then, CaseEffects):
            outcome = _both(outcome, then)
            case = case.model_copy(update=then.changes)
    return outcome


def _lifts(event: OrderEvent, orders: Iterable[Order]) -> bool:
    """Whether it says that something is held no more. An executed release lifts the order that it is about."""
    releases = any(order.order_id == event.order_id and order.kind is OrderKind.RELEASE for order in orders)
    return event.kind is OrderEventKind.LIFT or (event.kind is OrderEventKind.EXECUTE and releases)


def _still_held(order: Order, about: Objection, who: str) -> bool:
    """Whether something that the objection is about is not lifted yet. What ended before it was executed holds nothing."""
    if order.recipient != who or (about.orders and order.order_id not in about.orders):
        return False
    return is_unlifted(order)


def _both(done: CaseEffects, then: CaseEffects) -> CaseEffects:
    return done._replace(
        changes={**done.changes, **then.changes},
        notices=(*done.notices, *then.notices),
        starts=(*done.starts, *then.starts),
        stops=(*done.stops, *then.stops),
    )


def fell_due(step: CaseStep) -> CaseEffects | Refusal:
    """A moment of a clock has come: people are told, and the order or task that it is about moves."""
    due, case = step.action.due, step.case
    assert due is not None
    fired = clocks.due(case.clocks, name=due.clock, run=due.run, step=due.step, rules=step.policy.clocks, now=step.now)
    if fired.clock is None:
        return fired.refusal or Refusal("stale-run", "the policy has no such deadline")
    batches = tuple(_notify(step, case, fired.clock, reached) for reached in fired.reached)
    done = CaseEffects({"clocks": fired.clocks}, tuple(notice for notices in batches for notice in notices))
    if due.step is ClockStep.DUE and _is_waited_for(case, fired.clock):
        # What was waited for is over: it is no duty that stays undone.
        done = done._replace(stops=(ClockStop(fired.clock.name, fired.clock.about, called_off=True),))
    then = _moved_by(step, case.model_copy(update={"clocks": fired.clocks}), fired.clock, due.step)
    return done if then is None else _both(done, then)


def _is_waited_for(case: Case, clock: Clock) -> bool:
    """Whether it is the public notice of a return: something may be done when it runs out, and nothing has to be before."""
    return any(order.order_id == clock.about and order.notice_clock == clock.name for order in case.orders)


def _moved_by(step: CaseStep, case: Case, clock: Clock, moment: ClockStep) -> CaseEffects | None:
    """What the moment is to what the clock is about; None: it moves nothing."""
    if moment not in (ClockStep.WARN, ClockStep.DUE):
        return None
    about = next((order for order in case.orders if order.order_id == clock.about), None)
    if about is not None:
        kind = clock_event(about, clock.name, warning=moment is ClockStep.WARN)
        if kind is None:
            return None
        event = OrderEvent.trusted(event_id=step.action.action_id, order_id=about.order_id, kind=kind)
        change = case_orders.decided(step, case.orders, event)
        return None if change.refused else CaseEffects({"orders": change.orders}, change.notices, change.starts, change.stops)
    if moment is ClockStep.DUE and any(task.task_id == clock.about for task in case.tasks):
        missed = TaskEvent.trusted(event_id=step.action.action_id, task_id=clock.about or "", kind=TaskEventKind.DUE)
        then = _task(step, case, missed)
        return then if isinstance(then, CaseEffects) else None
    return None


def _notify(step: CaseStep, case: Case, clock: Clock, reached: ReachedStep) -> Iterable[Notice]:
    """The notices of one moment. OFFICER is whoever has to act; the unit's head reads the unit's queue, the city its own. To
    others than the unit neither the id nor the data tells the run: it counts the clocks of all who are in the case."""
    template = _template_of(case, clock, reached)
    data: dict[str, int | str] = {
        "clock": reached.name,
        "due_at": iso(reached.due_at),
        "basis": reached.basis[:160],
        "roles": ",".join(reached.roles),
    }
    if reached.about is not None:
        data["about"] = reached.about
    about = Notification(
        "",
        NoticeKind.CLOCK,
        template,
        data,
        order_id=clock.about if any(order.order_id == clock.about for order in case.orders) else None,
        task_id=clock.about if any(task.task_id == clock.about for task in case.tasks) else None,
    )
    to = [_who(role, case, clock, step.policy.city) for role in reached.roles]
    to += [f"{agency}-{step.policy.city}" for agency in reached.parties]
    to += [case.queue] if template == "notice_ended" else []
    agency = case.queue.rpartition("-")[0]
    for number, recipient in enumerate(dict.fromkeys(inbox for inboxes in to for inbox in _each(inboxes))):
        inside = recipient == case.queue or recipient.rpartition("-")[0] == agency or recipient in reached.parties
        moment = f"{case.case_id}|{clock.name}|{clock.about}|{clock.started_at.isoformat()}|{reached.step}|{recipient}"
        notification = about._replace(recipient=recipient, data=data | {"run": reached.run} if inside else data)
        notice_id = f"{step.action.action_id}/{reached.name}/{number}" if inside else _opaque_id(moment)
        yield to_notice(notice_id, notification, case_id=case.case_id, at=step.now)


def _template_of(case: Case, clock: Clock, reached: ReachedStep) -> str:
    if reached.step is ClockStep.WARN:
        return "clock_warns"
    if _is_waited_for(case, clock):
        return "notice_ended"
    return "clock_escalated" if reached.escalated else "clock_fell_due"


def _opaque_id(moment: str) -> str:
    """A name of a clock's moment: the same in every replay, and of one clock no two runs begin at one time."""
    return "clock-" + sha256(moment.encode()).hexdigest()[:24]


def _each(recipients: str | tuple[str, ...]) -> tuple[str, ...]:
    return (recipients,) if isinstance(recipients, str) else recipients


def _who(role: DutyRole, case: Case, clock: Clock, city: str) -> str | tuple[str, ...]:
    queue = case.queue  # whoever has it now can act, not the unit that had it when the clock began
    if role is DutyRole.CITY:
        agency, _, _ = queue.rpartition("-")
        return f"{agency}-{city}"
    if role is DutyRole.UNIT_HEAD or clock.about is None or clock.unit is not None:
        return queue
    about = next((order for order in case.orders if order.order_id == clock.about), None)
    if about is not None:
        return about.recipient if about.issued_at is not None else queue
    about_task = next((task for task in case.tasks if task.task_id == clock.about), None)
    if about_task is not None:
        return about_task.taken_by or tuple(reach.party for reach in about_task.reach)
    return clock.about
