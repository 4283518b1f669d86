"""What becomes of an action on a case: the frame around the parts that decide it. Pure.

A kind of action -> the part that decides it (`PARTS`): signals (case_signals), officers' moves (case_officers), orders and
measures (case_orders), dissuasions, appeals and clocks (case_loop). Invariant: an applied action gives the next revision and
nothing else does; a refused one changes nothing; the fact carries all that follows: clocks, notices, requests, figures.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from schemas.cases.case import OFFICERS_ONLY, Action, ActionKind, ActionOutcome, Case, CaseChange, Disposition
from schemas.deadlines import OfficeHours
from schemas.dissuasion import DissuasionEventKind
from schemas.holidays import Holidays
from schemas.orders.kinds import OrderKind
from schemas.orders.order import OrderEventKind
from schemas.policy import Policy
from stream_processors.domain import scorecards
from stream_processors.domain.cases import deadlines as case_clocks
from stream_processors.domain.cases import notifications as case_told
from stream_processors.domain.cases import officer_actions as case_officers
from stream_processors.domain.cases import orders as case_orders
from stream_processors.domain.cases import party_actions as case_loop
from stream_processors.domain.cases import signals as case_signals
from stream_processors.domain.cases import structure as case_structure
from stream_processors.domain.cases.evidence import keep_evidence
from stream_processors.domain.cases.officer_actions import TABLE, list_allowed
from stream_processors.domain.cases.state import LAPSED, NONE, phase_of, state_of
from stream_processors.domain.cases.step import CaseEffects, CaseStep
from stream_processors.domain.deadlines.calendar import Calendar, calendar_of
from stream_processors.domain.orders import caps as order_caps
from stream_processors.domain.orders.order import acting
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import ActorRole, party

__all__ = [
    "APPLIED_KEPT",
    "LAPSED",
    "NONE",
    "TABLE",
    "decide",
    "echo",
    "list_allowed",
    "phase_of",
    "smaller",
    "state_of",
    "too_large",
    "unreadable",
]

APPLIED_KEPT = 64
WEEKENDS = calendar_of(Holidays(years={}), OfficeHours())
"""Without a file of days off every working day is estimated and marked so."""
_ONCE_BY_ITSELF = frozenset({ActionKind.JOIN, ActionKind.RETRACT, ActionKind.ABSORB, ActionKind.DEADLINE_DUE})
"""Redeliveries of these are recognised by their source, or because a due moment passes once. A case remembers other ids only."""

_NAMES_ANOTHER_QUEUE = frozenset({ActionKind.TRANSFER, ActionKind.MERGE})
"""Actions whose `queue` names the destination of the case, or the queue of the case that absorbs this one."""

Part = Callable[[CaseStep], CaseEffects | Refusal]


def _join_signal(step: CaseStep) -> CaseEffects | Refusal:
    signal = step.action.signal
    if signal is None:
        return Refusal("action-unreadable", "the join has no signal")
    return case_signals.joined(step, signal)


def _absorb_portion(step: CaseStep) -> CaseEffects | Refusal:
    return case_structure.absorb(step.action, step.case, step.policy, step.now)


PARTS: dict[ActionKind, Part] = {
    ActionKind.JOIN: _join_signal,
    ActionKind.RETRACT: case_signals.retracted,
    ActionKind.ABSORB: _absorb_portion,
    ActionKind.MEASURE: case_orders.add_measure,
    ActionKind.ORDER: case_loop.answered,
    ActionKind.DISSUASION: case_loop.move_dissuasion,
    ActionKind.APPEAL: case_loop.object_to,
    ActionKind.DEADLINE_DUE: case_loop.fell_due,
    **dict.fromkeys(sorted(OFFICERS_ONLY), case_officers.move_case),
}


def decide(
    *,
    action: Action,
    actor: str,
    case: Case | None,
    policy: Policy,
    now: datetime,
    calendar: Calendar = WEEKENDS,
    elsewhere: int = 0,
) -> CaseChange:
    """What becomes of the action. `calendar`: the place's days off, for what is reckoned in working days; `elsewhere`: as in
    `CaseStep`."""
    if case is not None and action.action_id in case.applied and not case_structure.came_back(action, case):
        return _make_change(action, actor, now, ActionOutcome.REDELIVERY, revision=case.revision)
    if case is not None and action.revision not in (None, case.revision):
        detail = f"the case is at revision {case.revision}, the request names {action.revision}; read the case again"
        return _refuse_action(action, actor, case, now, Refusal("stale-revision", detail))
    if case is None:
        first = _open_case(action, policy, now)
        if isinstance(first, Refusal):
            return _refuse_action(action, actor, None, now, first)
        step = CaseStep(action, actor, first[0], policy, calendar, now)
        return _apply_effects(step, None, first[1])
    step = CaseStep(action, actor, case, policy, calendar, now, elsewhere)
    decision = case_structure.forward(action, case) or _of_another_unit(step) or PARTS[action.kind](step)
    if isinstance(decision, Refusal):
        return _refuse_action(action, actor, case, now, decision)
    return _apply_effects(step, case, decision)


def _of_another_unit(step: CaseStep) -> Refusal | None:
    """An officer acts for the unit whose case he saw (`queue`). After a transfer the case is no longer his. An answer to a letter
    acts for the unit that received it, wherever the case is."""
    action, case = step.action, step.case
    who = party(step.actor) if action.order is None else acting(step.actor, action.order)
    if who.role != ActorRole.OFFICER or action.kind in _NAMES_ANOTHER_QUEUE or action.queue == case.queue:
        return None
    return Refusal("unknown-case", f"the case is no longer in {action.queue}; read the queue again")


def _open_case(action: Action, policy: Policy, now: datetime) -> tuple[Case, CaseEffects] | Refusal:
    """The case made by its first signal or by a split; at revision 0, which nobody sees."""
    if action.kind is ActionKind.JOIN and (signal := action.signal) is not None:
        starts = (*case_clocks.TO_ACKNOWLEDGE, *case_signals.duties(policy, signal, None))
        return case_signals.opened(action, signal, now), CaseEffects({}, starts=starts)
    if action.kind is ActionKind.ABSORB:
        absorbed = case_structure.absorb(action, None, policy, now)
        if isinstance(absorbed, Refusal):
            return absorbed
        return Case.trusted(**absorbed.changes, revision=0, changed_at=now), absorbed._replace(changes={})
    if action.kind is ActionKind.JOIN:
        return Refusal("action-unreadable", "the join has no signal")
    return Refusal("unknown-case", f"there is no case {action.case_id}")


def echo(action: Action, actor: str, now: datetime) -> CaseChange:
    """A request whose source was seen before: the first record of a source counts. Also one whose cause was lost for good."""
    return _make_change(action, actor, now, ActionOutcome.REDELIVERY)


def smaller(change: CaseChange) -> CaseChange | None:
    """The same with half of the signals that the case lists, of each sender its share, then with the newest attempt of each
    dissuasion; its counts stay, and the log has the rest. None: there is nothing more to leave out."""
    case = change.case
    if case is None:
        return None
    less: dict[str, Any] = {}
    if len(case.signals) > 1:
        less["signals"] = keep_evidence(case.signals, len(case.signals) // 2)
    elif any(len(dissuasion.attempts) > 1 for dissuasion in case.dissuasions):
        less["dissuasions"] = tuple(
            dissuasion.model_copy(update={"attempts": dissuasion.attempts[-1:]}) for dissuasion in case.dissuasions
        )
    return change.model_copy(update={"case": case.model_copy(update=less)}) if less else None


def too_large(action: Action, actor: str, case: Case | None, now: datetime) -> CaseChange:
    """The fact of an action after which the case would exceed one record of the log."""
    detail = "the case would exceed the size of one record; end, close or split off something first"
    return _refuse_action(action, actor, case, now, Refusal("transition-not-allowed", detail))


def unreadable(why: str, now: datetime) -> CaseChange:
    """The fact of an unreadable action record, which also goes to the dead letters."""
    return CaseChange.trusted(
        action_id=None,
        case_id=None,
        kind=None,
        outcome=ActionOutcome.REFUSED,
        at=now,
        actor="unknown",
        detail=why,
        problem="action-unreadable",
    )


def _apply_effects(step: CaseStep, before: Case | None, done: CaseEffects) -> CaseChange:
    action, case, now = step.action, step.case, step.now
    changes = dict(done.changes)
    joins = action.kind in (ActionKind.JOIN, ActionKind.ABSORB) or action.disposition is Disposition.CONFIRMED
    clocks = case_clocks.update_clocks(changes.get("deadlines", case.deadlines), done, step, must=_asks_anew(action), joins=joins)
    if isinstance(clocks, Refusal):
        return _refuse_action(action, step.actor, before, now, clocks)
    changes |= {"deadlines": clocks, "revision": case.revision + 1, "changed_at": now}
    if action.kind not in _ONCE_BY_ITSELF:
        changes["applied"] = (*case.applied[1 - APPLIED_KEPT :], action.action_id)
    after = case.model_copy(update=changes)
    return _make_change(
        action,
        step.actor,
        now,
        ActionOutcome.APPLIED,
        case=after,
        revision=after.revision,
        verdict=done.verdict,
        left_queue=done.left_queue,
        notifications=(*done.notices, *case_told.tell_of_change(before, after, step)),
        follow_ups=done.follows,
        figure_changes=scorecards.counted(before, after, elsewhere=action.portion.measures if action.portion else ()),
        order_counts=order_caps.changed(before, after),
    )


def _asks_anew(action: Action) -> bool:
    """Whether the action requests something new of somebody."""
    order, dissuasion = action.order, action.dissuasion
    if order is not None and order.kind is OrderEventKind.ISSUE:
        return order.draft is None or order.draft.kind is not OrderKind.RELEASE
    return (order is not None and order.kind is OrderEventKind.APPROVE) or (
        dissuasion is not None and dissuasion.kind is DissuasionEventKind.ASK
    )


def _refuse_action(action: Action, actor: str, case: Case | None, now: datetime, refusal: Refusal) -> CaseChange:
    revision = case.revision if case else None
    more = {
        "revision": revision,
        "detail": refusal.why,
        "problem": refusal.problem,
        "allowed_transitions": refusal.allowed_transitions,
    }
    return _make_change(action, actor, now, ActionOutcome.REFUSED, **more)


def _make_change(action: Action, actor: str, now: datetime, outcome: ActionOutcome, **more: Any) -> CaseChange:
    return CaseChange.trusted(
        action_id=action.action_id, case_id=action.case_id, kind=action.kind, outcome=outcome, at=now, actor=actor, **more
    )
