"""What an event does to a dissuasion (劝阻): a transition table, guards and effects. Pure.

Invariant: one party at a time works on a dissuasion; a dissuasion that is over stays over, and its clock stands still.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

from schemas.dissuasion import ATTEMPTS_KEPT, OVER, Attempt, Dissuasion, DissuasionEnd, DissuasionEvent, DissuasionState, Result
from schemas.dissuasion import DissuasionEventKind as E
from schemas.notices import Notification, NotificationKind
from stream_processors.domain.notifications.notification import NotificationDraft, to_notification
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import (
    NONE,
    ActorRole,
    DeadlineStart,
    DeadlineStop,
    Party,
    Table,
    Transition,
    done_between,
    iso,
    party,
)

CLOCK = "dissuade"
"""Short, because the lease restarts with every step and expires when nobody takes one."""
MOST_MISSED = 8
"""After this many notifications nobody is notified again. The dissuasion stays open, and the agency sees it."""
_CONVINCED = frozenset({Result.CONVINCED})
S = DissuasionState


class DissuasionStep(NamedTuple):
    dissuasion: Dissuasion
    event: DissuasionEvent
    actor: Party
    now: datetime


class DissuasionChange(NamedTuple):
    """`dissuasion` is None when the event was refused."""

    dissuasion: Dissuasion | None
    notices: tuple[Notification, ...] = ()
    starts: tuple[DeadlineStart, ...] = ()
    stops: tuple[DeadlineStop, ...] = ()
    refused: Refusal | None = None


def _check_taker(step: DissuasionStep) -> Refusal | None:
    """The party that took the task continues with it. The others do not learn who it is."""
    dissuasion = step.dissuasion
    if dissuasion.taken_by is not None and dissuasion.taken_by != step.actor.id:
        return Refusal(
            "dissuasion-taken", f"another recipient took it at {iso(dissuasion.taken_at)}; the person must not be called twice"
        )
    return None


def _check_attempt(step: DissuasionStep) -> Refusal | None:
    attempt = step.event.attempt
    if attempt is None:
        return Refusal("attempt-missing", "send who spoke to the person, through which channel, and with which result")
    if done_between(attempt.done_at, step.dissuasion.opened_at, step.now) is None:
        return Refusal("time-out-of-range", f"'done_at' must be between {iso(step.dissuasion.opened_at)} and {iso(step.now)}")
    if (attempt.result in _CONVINCED) != (step.event.kind is E.SUCCEED):
        return Refusal("result-mismatch", "report a convinced person as a success, and any other result as an attempt")
    return _check_taker(step)


def _mine_and_why(step: DissuasionStep) -> Refusal | None:
    return _check_taker(step) or _check_reason(step)


def _check_reason(step: DissuasionStep) -> Refusal | None:
    if step.event.outcome in (None, DissuasionEnd.DISSUADED):
        return Refusal("reason-missing", "send the outcome of the dissuasion: paid, not_reached, insisted or not_at_risk")
    return None


def _no_success(step: DissuasionStep) -> Refusal | None:
    if step.event.outcome is DissuasionEnd.DISSUADED:
        return Refusal("result-mismatch", "report a dissuaded person as a success, not as a cancelled dissuasion")
    return None


def _open_dissuasion(step: DissuasionStep) -> dict[str, Any]:
    return {"state": S.OPEN}


def _take_dissuasion(step: DissuasionStep) -> dict[str, Any]:
    return {"state": S.TAKEN, "taken_by": step.actor.id, "taken_at": step.now}


def _give_dissuasion_back(step: DissuasionStep) -> dict[str, Any]:
    return {"state": S.OPEN, "taken_by": None, "taken_at": None}


def _record_attempt(step: DissuasionStep) -> dict[str, Any]:
    """An attempt also takes the task."""
    dissuasion, attempt = step.dissuasion, step.event.attempt
    assert attempt is not None
    taking = {} if dissuasion.taken_by else _take_dissuasion(step)
    way = next(reach.party_type for reach in dissuasion.reachable_by if reach.party == step.actor.id)
    marked_attempt = attempt.model_copy(update={"party": step.actor.id, "party_type": way, "at": step.now})
    first = dissuasion.first_attempt_at or step.now
    attempts = _bound_attempts((*dissuasion.attempts, marked_attempt))
    return {
        **taking,
        "state": S.TAKEN,
        "attempt_count": dissuasion.attempt_count + 1,
        "attempts": attempts,
        "first_attempt_at": first,
    }


def _bound_attempts(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Above the limit the oldest attempt of the party with the most is dropped, so nobody displaces another's attempts."""
    if len(attempts) <= ATTEMPTS_KEPT:
        return attempts
    most = Counter(attempt.party for attempt in attempts).most_common(1)[0][0]
    removed = next(number for number, attempt in enumerate(attempts) if attempt.party == most)
    return attempts[:removed] + attempts[removed + 1 :]


def _record_success(step: DissuasionStep) -> dict[str, Any]:
    saved = {"prevented_loss_minor": step.event.prevented_loss_minor, "currency": step.event.currency}
    return {**_record_attempt(step), **_end_dissuasion(step, S.DISSUADED, DissuasionEnd.DISSUADED), **saved}


def _give_dissuasion_up(step: DissuasionStep) -> dict[str, Any]:
    return _end_dissuasion(step, S.NOT_DISSUADED, step.event.outcome)


def _cancel_dissuasion(step: DissuasionStep) -> dict[str, Any]:
    return _end_dissuasion(step, S.CANCELLED, step.event.outcome or DissuasionEnd.NOT_AT_RISK)


def _reopen_missed_dissuasion(step: DissuasionStep) -> dict[str, Any]:
    """Nobody took a step in time: the task is open to all again."""
    return {**_give_dissuasion_back(step), "missed_deadlines": step.dissuasion.missed_deadlines + 1}


def _end_dissuasion(step: DissuasionStep, state: DissuasionState, outcome: DissuasionEnd | None) -> dict[str, Any]:
    return {"state": state, "outcome": outcome, "ended_at": step.now}


REACHES = "reaches"
"""The role of a party that can reach the person: a bank, an operator, or a police station, which is a unit of officers."""
_REACHES, _STAGE, _AGENCY = frozenset({REACHES}), frozenset({ActorRole.STAGE}), frozenset({ActorRole.OFFICER, ActorRole.STAGE})
_RUNNING = (S.OPEN, S.TAKEN)
Row = Transition[Dissuasion, DissuasionStep, dict[str, Any], str]
_ROWS: dict[tuple[str, str], Row] = {
    (NONE, E.ASK): Row((S.OPEN,), _open_dissuasion, _AGENCY, detail="dissuasion_requested"),
    (S.OPEN, E.TAKE): Row((S.TAKEN,), _take_dissuasion, _REACHES, detail="dissuasion_taken"),
    (S.TAKEN, E.GIVE_BACK): Row((S.OPEN,), _give_dissuasion_back, _REACHES, _check_taker, detail="dissuasion_reopened"),
    **{
        (state, E.ATTEMPT): Row((S.TAKEN,), _record_attempt, _REACHES, _check_attempt, detail="dissuasion_attempted")
        for state in _RUNNING
    },
    **{
        (state, E.SUCCEED): Row((S.DISSUADED,), _record_success, _REACHES, _check_attempt, detail="dissuasion_ended")
        for state in _RUNNING
    },
    (S.TAKEN, E.GIVE_UP): Row((S.NOT_DISSUADED,), _give_dissuasion_up, _REACHES, _mine_and_why, detail="dissuasion_ended"),
    **{
        (state, E.CANCEL): Row((S.CANCELLED,), _cancel_dissuasion, _AGENCY, _no_success, detail="dissuasion_ended")
        for state in _RUNNING
    },
    **{(state, E.DUE): Row((S.OPEN,), _reopen_missed_dissuasion, _STAGE, detail="dissuasion_overdue") for state in _RUNNING},
}
TABLE = Table("dissuasion", _ROWS)
"""The detail of a row is the key of the notification to others."""
_ASKS = frozenset({"dissuasion_requested", "dissuasion_reopened", "dissuasion_overdue"})
"""Notifications that ask every recipient to act. The others tell recipients that they need not act (any longer)."""


def decide(*, dissuasion: Dissuasion | None, event: DissuasionEvent, actor: str, now: datetime) -> DissuasionChange:
    """Decides on the event. `actor`: `institution:...`, `officer:...` (acting as the event's `unit`) or `stage:...`."""
    who = party(actor)
    if who.role == ActorRole.OFFICER and event.unit is not None:
        who = Party(ActorRole.OFFICER, event.unit)
    if dissuasion is None and (event.kind is not E.ASK or event.draft is None):
        return DissuasionChange(None, refused=Refusal("unknown-dissuasion", f"the case has no dissuasion {event.dissuasion_id}"))
    thing = dissuasion or _draft_task(event, now)
    state = dissuasion.state if dissuasion else NONE
    reaches = any(reach.party == who.id for reach in thing.reachable_by)
    if not reaches and who.role == ActorRole.INSTITUTION:
        return DissuasionChange(None, refused=Refusal("not-recipient", "this dissuasion was not addressed to you"))
    step = DissuasionStep(thing, event, who, now)
    outcome = TABLE.apply(state, event.kind, step, thing=thing, roles=roles_of(who.role, reaches=reaches))
    if isinstance(outcome, Refusal):
        return DissuasionChange(None, refused=outcome)
    changed = thing.model_copy(update={**outcome, "changed_at": now})
    stops = (DeadlineStop(CLOCK, changed.dissuasion_id),) if dissuasion else ()
    runs = changed.state not in OVER and changed.missed_deadlines < MOST_MISSED
    starts = (DeadlineStart(CLOCK, changed.dissuasion_id),) if runs else ()
    return DissuasionChange(changed, _make_notices(changed, step, TABLE[state, event.kind].detail), starts, stops)


def roles_of(role: str, *, reaches: bool) -> frozenset[str]:
    """What somebody is to a dissuasion. An officer may also act for a unit that reaches the person."""
    return frozenset({role, REACHES} if reaches else {role})


def _make_notices(dissuasion: Dissuasion, step: DissuasionStep, template: str) -> tuple[Notification, ...]:
    """Notices to everybody who can reach the person except the actor, and to the agency that asked."""
    kind = NotificationKind.DISSUASION if template in _ASKS else NotificationKind.FEEDBACK
    everybody = {reach.party: kind for reach in dissuasion.reachable_by if reach.party != step.actor.id}
    to = {**everybody, **({} if template == "dissuasion_requested" else {dissuasion.agency: NotificationKind.FEEDBACK})}
    data: dict[str, int | str] = {
        "state": dissuasion.state.value,
        "attempt_count": dissuasion.attempt_count,
        "missed_deadlines": dissuasion.missed_deadlines,
    }
    if dissuasion.outcome is not None:
        data["outcome"] = dissuasion.outcome.value
    return tuple(
        to_notification(
            f"{step.event.event_id}/{dissuasion.dissuasion_id}/{number}",
            NotificationDraft(
                recipient, of_kind, template, data, dissuasion_id=dissuasion.dissuasion_id, subject=dissuasion.person
            ),
            case_id=dissuasion.case_id,
            at=step.now,
        )
        for number, (recipient, of_kind) in enumerate(to.items())
    )


def _draft_task(event: DissuasionEvent, now: datetime) -> Dissuasion:
    draft = event.draft
    assert draft is not None
    return Dissuasion.trusted(
        dissuasion_id=draft.dissuasion_id,
        case_id=draft.case_id,
        agency=draft.agency,
        person=draft.person,
        reachable_by=draft.reachable_by,
        state=DissuasionState.OPEN,
        opened_at=now,
        changed_at=now,
    )
