"""What else happens to a case: dissuasions, appeals, and clocks that fall due. Pure.

Invariant: whatever a clock does it does once, for its run and step are named; a clock moves an order or a dissuasion only as that
one's own table allows, and people are told all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from schemas.appeals import Appeal, AppealMove, AppealRequest, AppealState
from schemas.cases.case import Case
from schemas.deadlines import Deadline, DeadlineStep, DutyRole
from schemas.dissuasion import OVER, Dissuasion, DissuasionEnd, DissuasionEvent, DissuasionEventKind
from schemas.measures import MeasureKind
from schemas.notices import Notification, NotificationKind
from schemas.orders.kinds import REPLACING, OrderKind
from schemas.orders.order import Order, OrderEvent, OrderEventKind
from stream_processors.domain import appeals, dissuasion
from stream_processors.domain.cases import orders as case_orders
from stream_processors.domain.cases.notifications import list_executed, make_notices
from stream_processors.domain.cases.step import CaseEffects, CaseStep
from stream_processors.domain.deadlines import deadlines as clocks
from stream_processors.domain.deadlines.deadlines import ReachedStep
from stream_processors.domain.notifications.notification import NotificationDraft, to_notification
from stream_processors.domain.orders.order_book import clock_event
from stream_processors.domain.orders.step import is_unlifted
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import ActorRole as Actor
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop, iso, party

MOST_DISSUASIONS = MOST_APPEALS = 8
MOST_BY_ONE_DOOR = 3
"""Undecided appeals that one institution filed. Without a limit it could keep the bank of the person from filing any."""
_OVER = frozenset({AppealState.REJECTED, AppealState.COMPLETED})


def move_dissuasion(step: CaseStep) -> CaseEffects | Refusal:
    """An event of one dissuasion."""
    event, case = step.action.dissuasion, step.case
    assert event is not None
    return _decide_dissuasion(step, case, event.model_copy(update={"event_id": step.action.action_id}))


def _decide_dissuasion(step: CaseStep, case: Case, event: DissuasionEvent) -> CaseEffects | Refusal:
    listed = _with_room(case.dissuasions, event.dissuasion_id)
    current = next((dissuasion for dissuasion in case.dissuasions if dissuasion.dissuasion_id == event.dissuasion_id), None)
    if current is None and len(listed) >= MOST_DISSUASIONS:
        return Refusal("too-many-dissuasions", f"a case has at most {MOST_DISSUASIONS} unfinished dissuasions")
    if current is not None:
        current = current.model_copy(update={"agency": case.queue})  # a dissuasion goes where its case goes
    change = dissuasion.decide(dissuasion=current, event=event, actor=step.actor, now=step.now)
    if change.dissuasion is None:
        return change.refused or Refusal("unknown-dissuasion", "there is no such dissuasion")
    others = tuple(dissuasion for dissuasion in listed if dissuasion.dissuasion_id != event.dissuasion_id)
    return CaseEffects({"dissuasions": (*others, change.dissuasion)}, change.notices, change.starts, change.stops)


def call_off_all(step: CaseStep, done: CaseEffects) -> CaseEffects:
    """There is nobody to be warned any more: every dissuasion that is not over is called off, behind what was done already."""
    for running in step.case.dissuasions:
        if running.state in OVER:
            continue
        event = DissuasionEvent.trusted(
            event_id=step.action.action_id,
            dissuasion_id=running.dissuasion_id,
            kind=DissuasionEventKind.CANCEL,
            outcome=DissuasionEnd.NOT_AT_RISK,
        )
        then = _decide_dissuasion(step, step.case.model_copy(update=done.changes), event)
        if isinstance(then, CaseEffects):
            done = _join_effects(done, then)
    return done


def _with_room(dissuasions: tuple[Dissuasion, ...], own: str) -> tuple[Dissuasion, ...]:
    """Without the oldest finished one, if full."""
    if len(dissuasions) < MOST_DISSUASIONS:
        return dissuasions
    dropped_id = next(
        (dissuasion.dissuasion_id for dissuasion in dissuasions if dissuasion.state in OVER and dissuasion.dissuasion_id != own),
        None,
    )
    return tuple(dissuasion for dissuasion in dissuasions if dissuasion.dissuasion_id != dropped_id)


def object_to(step: CaseStep) -> CaseEffects | Refusal:
    """A move of an appeal (申诉)."""
    request, who = step.action.appeal, party(step.actor)
    assert request is not None
    if who.role == Actor.INSTITUTION and who.id != request.party:
        return Refusal("forbidden", "an institution may act for itself only")
    if who.role == Actor.OFFICER and (request.officer != who.id or request.party != step.case.queue):
        return Refusal("forbidden", "an officer may act only for the unit that has the case")
    named = request.model_copy(update={"request_id": step.action.action_id, "case_id": step.case.case_id})
    return _decide_objection(step, step.case, named)


def _decide_objection(step: CaseStep, case: Case, request: AppealRequest) -> CaseEffects | Refusal:
    there = next((appeal for appeal in case.appeals if appeal.appeal_id == request.appeal_id), None)
    current = None if there is None else _follow_replacements(there, case.orders)
    others = _drop_objection(case.appeals, request.appeal_id, full=current is None)
    if current is None and len(others) >= MOST_APPEALS:
        return Refusal("too-many-appeals", f"a case has at most {MOST_APPEALS} undecided appeals")
    if (
        current is None
        and sum(appeal.filed_through == request.party and appeal.state not in _OVER for appeal in others) >= MOST_BY_ONE_DOOR
    ):
        detail = f"one institution or agency may have at most {MOST_BY_ONE_DOOR} undecided appeals in a case"
        return Refusal("too-many-appeals", detail)
    change = appeals.decide(request=request, appeal=current, around=around(case), now=step.now)
    if change.refusal is not None:
        return change.refusal
    if change.appeal is None:
        return CaseEffects({})
    changed = change.appeal
    done = CaseEffects(
        {"appeals": (*others, changed)},
        make_notices(change.notifications, step, changed.appeal_id),
        tuple(DeadlineStart(name, changed.appeal_id) for name in change.started),
        tuple(DeadlineStop(name, changed.appeal_id) for name in change.stopped),
    )
    return _order_release(step, request, changed, done) if request.action is AppealMove.RELEASE else done


def _follow_replacements(appeal: Appeal, orders: Iterable[Order]) -> Appeal:
    """Adds the orders that replaced the contested ones: they hold the same money."""
    names = dict.fromkeys(appeal.orders)
    for order in orders:  # in the order of their issue
        if order.kind in REPLACING and order.related_order_id in names:
            names[order.order_id] = None
    return appeal if len(names) == len(appeal.orders) else appeal.model_copy(update={"orders": tuple(names)})


def _drop_objection(appeals: tuple[Appeal, ...], own: str, *, full: bool) -> tuple[Appeal, ...]:
    others = tuple(appeal for appeal in appeals if appeal.appeal_id != own)
    dropped_id = next((appeal.appeal_id for appeal in others if appeal.state in _OVER), None) if full else None
    return others if len(others) < MOST_APPEALS else tuple(appeal for appeal in others if appeal.appeal_id != dropped_id)


def around(case: Case) -> appeals.Around:
    """What an appeal is against: what was executed and stands."""
    ordered = {name for order in case.orders for name in (order.issued_by, order.approved_by) if name}
    return appeals.Around(case.queue, list_executed(case), ordered)


def _order_release(step: CaseStep, request: AppealRequest, changed: Appeal, done: CaseEffects) -> CaseEffects:
    """The promised release is ordered in the same step, so that it cannot be forgotten."""
    undone = case_orders.undo_all(step, changed.orders)
    return CaseEffects(
        {**done.changes, **undone.changes},
        (*done.notices, *undone.notices),
        (*done.starts, *undone.starts),
        (*done.stops, *undone.stops),
    )


def answered(step: CaseStep) -> CaseEffects | Refusal:
    """An event of an order; a recipient who says that nothing is held any more has thereby confirmed it to the appeals that
    waited for just that."""
    outcome = case_orders.move_order(step)
    event, who = step.action.order, party(step.actor)
    assert event is not None
    if isinstance(outcome, Refusal) or who.role != Actor.INSTITUTION or not _is_lift(event, step.case.orders):
        return outcome
    case = step.case.model_copy(update=outcome.changes)
    for appeal in case.appeals:
        if who.id not in appeal.pending_parties or any(_still_held(order, appeal, who.id) for order in case.orders):
            continue
        if not appeal.orders and any(own.institution == who.id and own.kind is MeasureKind.BLOCKED for own in case.measures):
            continue  # what it blocked by itself no order lifts; it says so by its own confirmation
        confirmation = AppealRequest.trusted(
            request_id=step.action.action_id,
            appeal_id=appeal.appeal_id,
            case_id=case.case_id,
            action=AppealMove.CONFIRM,
            party=who.id,
        )
        then = _decide_objection(step, case, confirmation)
        if isinstance(then, CaseEffects):
            outcome = _join_effects(outcome, then)
            case = case.model_copy(update=then.changes)
    return outcome


def _is_lift(event: OrderEvent, orders: Iterable[Order]) -> bool:
    """Whether it reports that a hold is lifted. An executed release lifts its related order."""
    releases = any(order.order_id == event.order_id and order.kind is OrderKind.RELEASE for order in orders)
    return event.kind is OrderEventKind.LIFT or (event.kind is OrderEventKind.EXECUTE and releases)


def _still_held(order: Order, about: Appeal, who: str) -> bool:
    """Whether something that the appeal is about is not lifted yet. What ended before it was executed holds nothing."""
    if order.recipient != who or (about.orders and order.order_id not in about.orders):
        return False
    return is_unlifted(order)


def _join_effects(done: CaseEffects, then: CaseEffects) -> CaseEffects:
    return done._replace(
        changes={**done.changes, **then.changes},
        notices=(*done.notices, *then.notices),
        starts=(*done.starts, *then.starts),
        stops=(*done.stops, *then.stops),
    )


def fell_due(step: CaseStep) -> CaseEffects | Refusal:
    """A moment of a clock has come: people are told, and the order or dissuasion that it is about moves."""
    due, case = step.action.due, step.case
    assert due is not None
    fired = clocks.due(case.deadlines, name=due.deadline, run=due.run, step=due.step, rules=step.policy.deadlines, now=step.now)
    if fired.clock is None:
        return fired.refusal or Refusal("stale-run", "the policy has no such deadline")
    batches = tuple(_notify_of_deadline(step, case, fired.clock, reached) for reached in fired.reached)
    done = CaseEffects({"deadlines": fired.clocks}, tuple(notice for notices in batches for notice in notices))
    if due.step is DeadlineStep.DUE and _is_waited_for(case, fired.clock):
        # What was waited for is over: it is no duty that stays undone.
        done = done._replace(stops=(DeadlineStop(fired.clock.name, fired.clock.about, called_off=True),))
    then = _moved_by(step, case.model_copy(update={"deadlines": fired.clocks}), fired.clock, due.step)
    return done if then is None else _join_effects(done, then)


def _is_waited_for(case: Case, clock: Deadline) -> bool:
    """Whether it is the public notice of a return: something may be done at its end, and nothing is owed before."""
    return any(order.order_id == clock.about and order.public_notice_deadline == clock.name for order in case.orders)


def _moved_by(step: CaseStep, case: Case, clock: Deadline, moment: DeadlineStep) -> CaseEffects | None:
    """The event of the deadline's object; None: it has no effect on it."""
    if moment not in (DeadlineStep.WARN, DeadlineStep.DUE):
        return None
    about = next((order for order in case.orders if order.order_id == clock.about), None)
    if about is not None:
        kind = clock_event(about, clock.name, warning=moment is DeadlineStep.WARN)
        if kind is None:
            return None
        event = OrderEvent.trusted(event_id=step.action.action_id, order_id=about.order_id, kind=kind)
        change = case_orders.decided(step, case.orders, event)
        return None if change.refused else CaseEffects({"orders": change.orders}, change.notices, change.starts, change.stops)
    if moment is DeadlineStep.DUE and any(dissuasion.dissuasion_id == clock.about for dissuasion in case.dissuasions):
        missed = DissuasionEvent.trusted(
            event_id=step.action.action_id, dissuasion_id=clock.about or "", kind=DissuasionEventKind.DUE
        )
        then = _decide_dissuasion(step, case, missed)
        return then if isinstance(then, CaseEffects) else None
    return None


def _notify_of_deadline(step: CaseStep, case: Case, clock: Deadline, reached: ReachedStep) -> Iterable[Notification]:
    """The notices of one moment. OFFICER is whoever has to act; the unit's head reads the unit's queue, the city its own. For
    others than the unit neither the id nor the data reveal the run, which counts the deadlines of everybody in the case."""
    template = _template_of(case, clock, reached)
    data: dict[str, int | str] = {
        "deadline": reached.name,
        "due_at": iso(reached.due_at),
        "basis": reached.basis[:160],
        "roles": ",".join(reached.roles),
    }
    if reached.about is not None:
        data["about"] = reached.about
    about = NotificationDraft(
        "",
        NotificationKind.DEADLINE,
        template,
        data,
        order_id=clock.about if any(order.order_id == clock.about for order in case.orders) else None,
        dissuasion_id=clock.about if any(dissuasion.dissuasion_id == clock.about for dissuasion in case.dissuasions) else None,
    )
    to = [_recipient_of(role, case, clock, step.policy.city) for role in reached.roles]
    to += [f"{agency}-{step.policy.city}" for agency in reached.parties]
    to += [case.queue] if template == "public_notice_ended" else []
    agency = case.queue.rpartition("-")[0]
    for number, recipient in enumerate(dict.fromkeys(inbox for inboxes in to for inbox in _list_recipients(inboxes))):
        inside = recipient == case.queue or recipient.rpartition("-")[0] == agency or recipient in reached.parties
        moment = f"{case.case_id}|{clock.name}|{clock.about}|{clock.started_at.isoformat()}|{reached.step}|{recipient}"
        notification = about._replace(recipient=recipient, data=data | {"run": reached.run} if inside else data)
        notification_id = f"{step.action.action_id}/{reached.name}/{number}" if inside else _opaque_id(moment)
        yield to_notification(notification_id, notification, case_id=case.case_id, at=step.now)


def _template_of(case: Case, clock: Deadline, reached: ReachedStep) -> str:
    if reached.step is DeadlineStep.WARN:
        return "deadline_approaching"
    if _is_waited_for(case, clock):
        return "public_notice_ended"
    return "deadline_escalated" if reached.escalated else "deadline_passed"


def _opaque_id(moment: str) -> str:
    """A name of a deadline's moment: stable under reprocessing, and no two runs of a deadline begin at one time."""
    return "clock-" + sha256(moment.encode()).hexdigest()[:24]


def _list_recipients(recipients: str | tuple[str, ...]) -> tuple[str, ...]:
    return (recipients,) if isinstance(recipients, str) else recipients


def _recipient_of(role: DutyRole, case: Case, clock: Deadline, city: str) -> str | tuple[str, ...]:
    queue = case.queue  # whoever has it now can act, not the unit that had it when the clock began
    if role is DutyRole.CITY:
        agency, _, _ = queue.rpartition("-")
        return f"{agency}-{city}"
    if role is DutyRole.UNIT_HEAD or clock.about is None or clock.unit is not None:
        return queue
    about = next((order for order in case.orders if order.order_id == clock.about), None)
    if about is not None:
        return about.recipient if about.issued_at is not None else queue
    about_dissuasion = next((dissuasion for dissuasion in case.dissuasions if dissuasion.dissuasion_id == clock.about), None)
    if about_dissuasion is not None:
        return about_dissuasion.taken_by or tuple(reach.party for reach in about_dissuasion.reachable_by)
    return clock.about
