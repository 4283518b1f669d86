"""Actions that change the set of cases: transfer, merge, split, closing and reopening. Pure.

Merging cases are in different partitions. The source case emits an ABSORB command after its own change, and forwards later
commands behind it, so order is preserved and a retraction never overtakes its signal. Invariant: a live signal counts in exactly
one case once nothing is in progress. So of two cases the one with the lower id stays (a chain of merges only goes down and never
meets itself), and a case is never un-merged.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from schemas.appeals import AppealState
from schemas.cases.case import Action, ActionKind, Case, CaseStatus, CaseTransfer, JoinedSignal, Portion, Tally
from schemas.deadlines import Deadline, DeadlineState
from schemas.dissuasion import OVER
from schemas.orders.kinds import REVERSIBLE
from schemas.orders.order import LIVE, Order, OrderState
from schemas.policy import Policy
from schemas.signals.retraction import name_of
from schemas.signals.submission import MOST_VERSIONS, SignalKind
from stream_processors.domain import measures
from stream_processors.domain.cases import counters as tally
from stream_processors.domain.cases import deadlines as case_clocks
from stream_processors.domain.cases.evidence import keep_evidence
from stream_processors.domain.cases.signals import AFRESH, LINKED_KEPT, again, deadlines_without, owed_elsewhere
from stream_processors.domain.cases.state import SLEEPING
from stream_processors.domain.cases.step import CaseEffects
from stream_processors.domain.orders.step import crossed_its_end, is_done, is_unlifted
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.signals import hubs
from stream_processors.domain.signals.leads import is_lead
from stream_processors.domain.signals.routing import queue_of
from stream_processors.domain.signals.scoring import severity
from stream_processors.domain.state_machine import DeadlineStart

ACKNOWLEDGE, DISPOSE = "acknowledge", "dispose"
TRANSFERS_KEPT = 32
ABSORBED_KEPT = 64
MOST_SPLIT_OFF = 200
MOST_PASSED = 200
LONGEST_ID = 120
FORWARDED = frozenset({ActionKind.JOIN, ActionKind.RETRACT, ActionKind.ABSORB, ActionKind.MEASURE})
"""Actions that a merged case still accepts, because their senders could not know of the merge."""
_SETTLED = frozenset({AppealState.REJECTED, AppealState.COMPLETED})
_OUTSTANDING = frozenset({DeadlineState.OPEN, DeadlineState.FIRED})


def queues_of(policy: Policy) -> frozenset[str]:
    """Every queue that the policy's routes can lead to."""
    regions = (*policy.counties, policy.city)
    return frozenset(queue_of(rule, region, policy) for rules in policy.routes.values() for rule in rules for region in regions)


def list_standing(case: Case) -> tuple[str, ...]:
    """The orders, dissuasions and appeals that something is still to come of, or that hold something."""
    orders = tuple(f"order {order.order_id}" for order in case.orders if _is_standing_order(order))
    dissuasions = tuple(
        f"dissuasion {dissuasion.dissuasion_id}" for dissuasion in case.dissuasions if dissuasion.state not in OVER
    )
    return orders + dissuasions + tuple(f"appeal {appeal.appeal_id}" for appeal in case.appeals if appeal.state not in _SETTLED)


def _is_standing_order(order: Order) -> bool:
    if is_unlifted(order) and (order.state is OrderState.RELEASED or crossed_its_end(order)):
        return True  # carried out when its end was on the way
    return order.state in LIVE and (order.kind in REVERSIBLE or not is_done(order))


def _nothing_stands(case: Case, wish: str) -> Refusal | None:
    if not (blocking := list_standing(case)):
        return None
    more = f" and {len(blocking) - 8} more" if len(blocking) > 8 else ""
    return Refusal("open-obligations", f"the case cannot be {wish} while these are open: {', '.join(blocking[:8])}{more}")


def transfer(action: Action, case: Case, policy: Policy, now: datetime) -> CaseEffects | Refusal:
    """The case goes to another agency or county (`action.queue`), which acknowledges it anew and gets its own time. Orders stay
    in force."""
    if action.queue == case.queue:
        return Refusal("already-in-queue", f"the case is already in {case.queue}")
    if action.queue not in (queues := queues_of(policy)):
        return Refusal("unknown-queue", f"there is no queue {action.queue}; queues of the policy: {', '.join(sorted(queues))}")
    moved = CaseTransfer.trusted(
        at=now, transferred_by=action.officer, from_queue=case.queue, to_queue=action.queue, note_sealed=action.note_sealed
    )
    clocks = tuple(
        clock.model_copy(update={"unit": action.queue}) if _goes_along(clock, case) else clock for clock in case.deadlines
    )
    transfers = (*case.transfers[1 - TRANSFERS_KEPT :], moved)
    changes = {**AFRESH, "queue": action.queue, "transfers": transfers, "deadlines": clocks}
    return CaseEffects(changes, starts=_clocks_anew(), left_queue=case.queue, called_off=(ACKNOWLEDGE, DISPOSE))


def _goes_along(clock: Deadline, case: Case) -> bool:
    """Whether it runs for the unit and has not ended: the new unit gets the remaining time."""
    return clock.state is DeadlineState.OPEN and clock.unit == case.queue and clock.name not in (ACKNOWLEDGE, DISPOSE)


def close(action: Action, case: Case, policy: Policy, now: datetime) -> CaseEffects | Refusal:
    """The end of a case that was disposed of and has no open obligations."""
    if case.status is not CaseStatus.DISPOSED:
        return Refusal("transition-not-allowed", f"dispose of the case before you close it; it is {case.status}")
    if (refusal := _nothing_stands(case, "closed")) is not None:
        return refusal
    return CaseEffects({"status": CaseStatus.CLOSED, "closed_at": now, "closed_by": action.officer})


def reopen(action: Action, case: Case, policy: Policy, now: datetime) -> CaseEffects | Refusal:
    """Reopens a finished case for a given reason. Its disposition stays until the next one; duties that it started are
    cancelled."""
    if case.status not in (CaseStatus.DISPOSED, CaseStatus.CLOSED):
        return Refusal(
            "transition-not-allowed", f"only a case that was disposed of or closed can be reopened; this case is {case.status}"
        )
    if action.note_sealed is None:
        return Refusal("note-required", "send the reason for reopening the case in 'note'")
    changes = {**again(case), "note_sealed": action.note_sealed}
    return CaseEffects(changes, starts=_clocks_anew(), called_off=case_clocks.of_confirmed(policy))


def merge(action: Action, case: Case, policy: Policy, now: datetime) -> CaseEffects | Refusal:
    """All of this case moves to `action.into`, permanently. `action.queue` is the queue of that case as the officer saw it."""
    into = action.into_case_id or ""
    if into == case.case_id:
        return Refusal("same-case", "a case cannot be merged into itself")
    if case.status is CaseStatus.MERGED:
        return Refusal("case-merged", f"this case was merged into {case.merged_into}")
    if action.queue != case.queue:
        return Refusal("other-queue", f"only cases of one queue can be merged; the other case is in {action.queue}")
    if into > case.case_id:
        return Refusal("merge-direction", f"the case with the lower id stays: merge {into} into {case.case_id}")
    if (refusal := _nothing_stands(case, "merged")) is not None:
        return refusal
    running = {clock.name: None for clock in case.deadlines if clock.state in _OUTSTANDING}
    emptied = {
        "score": 0,
        "severity": severity(0, policy),
        "kinds": (),
        "institutions": (),
        "signal_count": 0,
        "amount_minor": {},
        "signals": (),
        "tally": tally.EMPTY,
        "measures": (),
    }
    changes = {**emptied, "status": CaseStatus.MERGED, "holder": None, "lease_until": None, "merged_into": into}
    return CaseEffects(
        changes, follows=(_hand_over(action, into, case.queue, _take_whole_case(case)),), called_off=tuple(running)
    )


def _take_whole_case(case: Case) -> Portion:
    return Portion.trusted(
        source_case_id=case.case_id,
        signals=case.signals,
        signal_count=case.signal_count,
        amount_minor=case.amount_minor,
        tally=case.tally,
        institutions=case.institutions,
        measures=case.measures,
        primary_subject=case.primary_subject,
        primary_signal_id=case.primary_signal_id,
        deadlines=tuple(
            clock for clock in case.deadlines if clock.state is DeadlineState.OPEN and clock.about in case.institutions
        ),
        linked_case_ids=case.linked_case_ids,
    )


def split(action: Action, case: Case, policy: Policy, now: datetime) -> CaseEffects | Refusal:
    """Listed signals (`action.signals`, ids) move to a new case of the same queue, which shows their measures, too."""
    listed = {signal.signal_id for signal in case.signals}
    if unknown := [name for name in dict.fromkeys(action.signals) if name not in listed]:
        return Refusal("unknown-signal", f"the case does not list {', '.join(unknown[:8])}")
    departing = tuple(signal for signal in case.signals if signal.signal_id in action.signals)
    if len(departing) >= case.signal_count:
        return Refusal("no-signal-left", "at least one signal must stay in the case")
    split_off, into = {**case.split_off}, f"{case.case_id}~{case.split_count + 1}"
    split_off |= {_name_signal(signal): into for signal in departing}
    if len(split_off) > MOST_SPLIT_OFF or len(into) > LONGEST_ID:
        return Refusal("split-too-often", f"at most {MOST_SPLIT_OFF} signals can be split off one case")
    counts, money = case.tally, case.amount_minor
    for signal in departing:
        counts, money = tally.uncounted(counts, signal), tally.without(money, signal)
    changes = {
        **_figures_of(counts, policy),
        "signal_count": case.signal_count - len(departing),
        "amount_minor": money,
        "signals": tuple(signal for signal in case.signals if signal.signal_id not in action.signals),
        "split_count": case.split_count + 1,
        "split_off": split_off,
    }
    changes["deadlines"] = deadlines_without(case, changes["institutions"], now)
    theirs = owed_elsewhere(case, changes["institutions"])
    return CaseEffects(changes, follows=(_hand_over(action, into, case.queue, _take_some_signals(case, departing, theirs)),))


def _take_some_signals(case: Case, departing: tuple[JoinedSignal, ...], clocks: tuple[Deadline, ...]) -> Portion:
    counts, money = tally.EMPTY, dict[str, int]()
    for signal in departing:
        counts, money = tally.counted(counts, signal), tally.money(money, signal)
    about = {signal.signal_id for signal in departing}
    return Portion.trusted(
        source_case_id=case.case_id,
        signals=departing,
        signal_count=len(departing),
        amount_minor=money,
        tally=counts,
        institutions=tuple(sorted(counts.institutions)),
        measures=tuple(measure for measure in case.measures if measure.signal_id in about),
        primary_subject=hubs.leading(departing[0].subjects) or departing[0].subjects[0],
        primary_signal_id=departing[0].signal_id,
        deadlines=clocks,
    )


def absorb(action: Action, case: Case | None, policy: Policy, now: datetime) -> CaseEffects | Refusal:
    """Takes over the content of another case. If `case` is None, `changes` is all but its revision and `changed_at`. A repeated
    one changes nothing: a case is merged once, and a split opens its case once."""
    portion = action.portion
    if portion is None:
        return Refusal("action-unreadable", "the action hands nothing over")
    if case is None:
        return _open_from_portion(action, portion, policy, now)
    if _came_before(portion, case):
        return CaseEffects({})
    counts = tally.together(case.tally, portion.tally)
    changes: dict[str, Any] = {
        **_figures_of(counts, policy),
        "signal_count": case.signal_count + portion.signal_count,
        "amount_minor": tally.pooled(case.amount_minor, portion.amount_minor),
        "signals": keep_evidence(_newest_first((*portion.signals, *case.signals)), policy.case_signals_kept),
        "measures": measures.pooled(case.measures, portion.measures),
        "merged_from": (*case.merged_from[1 - ABSORBED_KEPT :], portion.source_case_id),
        "linked_case_ids": tuple(dict.fromkeys((*case.linked_case_ids, *portion.linked_case_ids)))[:LINKED_KEPT],
    }
    back = {_name_signal(signal) for signal in portion.signals} & set(case.split_off)
    if back:
        changes["split_off"] = {name: into for name, into in case.split_off.items() if name not in back}
    starts = _carry_clocks(portion, case)
    if case.status in SLEEPING and portion.signal_count:
        changes |= again(case)
        starts = (*starts, *_clocks_anew())
    return CaseEffects(changes, starts=starts)


def _came_before(portion: Portion, case: Case) -> bool:
    return portion.source_case_id in case.merged_from or _from_split(case.case_id) == portion.source_case_id


def _open_from_portion(action: Action, portion: Portion, policy: Policy, now: datetime) -> CaseEffects | Refusal:
    if portion.primary_subject is None or portion.primary_signal_id is None or not portion.signal_count:
        return Refusal("unknown-case", f"there is no case {action.case_id}, and the action brings nothing to open it with")
    split_from = _from_split(action.case_id)
    new = {
        **_figures_of(portion.tally, policy),
        "case_id": action.case_id,
        "queue": action.queue,
        "status": CaseStatus.OPEN,
        "opened_at": now,
        "primary_subject": portion.primary_subject,
        "primary_signal_id": portion.primary_signal_id,
        "signal_count": portion.signal_count,
        "amount_minor": portion.amount_minor,
        "signals": portion.signals,
        "measures": portion.measures,
        "linked_case_ids": portion.linked_case_ids,
        "split_from": split_from,
        "merged_from": () if split_from == portion.source_case_id else (portion.source_case_id,),
        "leads_only": bool(portion.tally.kinds) and all(is_lead(kind) for kind in portion.tally.kinds),
    }
    carried = tuple(DeadlineStart(clock.name, clock.about or "", clock.due_at) for clock in portion.deadlines)
    return CaseEffects(new, starts=(*_clocks_anew(), *carried))


def forward(action: Action, case: Case) -> CaseEffects | None:
    """Where an action that came for this case has to go, a hop at a time; None: it is for this case.

    A signal that was split off is looked for there before this case's own end. If it came back from there (`visited_case_ids`),
    it is here, or where this case went.
    """
    if action.kind not in FORWARDED or (action.portion is not None and _came_before(action.portion, case)):
        return None
    name, into = _split_to(action, case)
    if into is not None:
        is_recorded = not name or name in case.split_off or len(case.split_off) >= MOST_SPLIT_OFF
        changes: dict[str, Any] = {} if is_recorded else {"split_off": {**case.split_off, name: into}}
        sent = action.model_copy(
            update={"case_id": into, "visited_case_ids": (*action.visited_case_ids[1 - MOST_PASSED :], into)}
        )
        return CaseEffects(changes, follows=(sent,))
    if case.merged_into is not None:
        return CaseEffects({}, follows=(action.model_copy(update={"case_id": case.merged_into}),))
    return None


def came_back(action: Action, case: Case) -> bool:
    """Whether this case itself forwarded the action to its split-off case: it knows the action, and has not decided it."""
    return any(_from_split(passed_id) == case.case_id for passed_id in action.visited_case_ids)


def _split_to(action: Action, case: Case) -> tuple[str, str | None]:
    """The signal's name, and its split-off case. A correction follows the signal that it replaces."""
    if case.split_off and action.measure is not None and action.measure.signal_id is not None:
        about = (name_of(action.measure.signal_id, n) for n in range(MOST_VERSIONS, 0, -1))
        into = next((case.split_off[version_name] for version_name in about if version_name in case.split_off), None)
        return "", None if into in action.visited_case_ids else into
    if not case.split_off or (action.signal is None and action.retracted_contribution is None):
        return "", None
    if action.retracted_contribution is not None:
        name = action.retracted_contribution.name
        into = case.split_off.get(name)
    else:
        assert action.signal is not None
        name = _name_signal(action.signal)
        into = case.split_off.get(name)
        if into is None and len(case.split_off) < MOST_SPLIT_OFF:
            older = (name_of(action.signal.signal_id, n) for n in range(action.signal.version - 1, 0, -1))
            into = next((case.split_off[version_name] for version_name in older if version_name in case.split_off), None)
    return name, None if into in action.visited_case_ids else into


def _figures_of(counts: Tally, policy: Policy) -> dict[str, Any]:
    points = tally.highest(counts)
    return {
        "score": points,
        "severity": severity(points, policy),
        "kinds": tuple(SignalKind(kind) for kind in sorted(counts.kinds)),
        "institutions": tuple(sorted(counts.institutions)),
        "tally": counts,
    }


def _hand_over(action: Action, into: str, queue: str, portion: Portion) -> Action:
    name = handed_name(action.action_id, portion.source_case_id)
    return Action.trusted(action_id=name, case_id=into, kind=ActionKind.ABSORB, queue=queue, portion=portion)


def handed_name(action_id: str, case_id: str) -> str:
    """The id of the request by which a merging or splitting case hands over, from the officer's action."""
    return "absorb-" + sha256(f"{action_id}|{case_id}".encode()).hexdigest()[:24]


def is_sent_on(action: Action, sent: Action) -> bool:
    """Whether `forward` made one of the other: for a case of a lower id, or for a split-off one."""
    if sent.visited_case_ids == action.visited_case_ids:
        return sent.case_id < action.case_id
    return len(sent.visited_case_ids) > len(action.visited_case_ids) and sent.visited_case_ids[-1] == sent.case_id


def _clocks_anew() -> tuple[DeadlineStart, ...]:
    return (DeadlineStart(ACKNOWLEDGE, None),)


def _carry_clocks(portion: Portion, case: Case) -> tuple[DeadlineStart, ...]:
    """Institutions' deadlines continue with their times, if this case has none of theirs."""
    running = {(clock.name, clock.about) for clock in case.deadlines if clock.state in _OUTSTANDING}
    return tuple(
        DeadlineStart(clock.name, clock.about or "", clock.due_at)
        for clock in portion.deadlines
        if (clock.name, clock.about) not in running
    )


def _name_signal(signal: JoinedSignal) -> str:
    return name_of(signal.signal_id, signal.version)


def _from_split(case_id: str) -> str | None:
    """The case that this one was split off, by its id."""
    of, tilde, number = case_id.rpartition("~")
    return of if tilde and number.isdigit() else None


def _newest_first(signals: tuple[JoinedSignal, ...]) -> tuple[JoinedSignal, ...]:
    return tuple(sorted(signals, key=lambda signal: signal.accepted_at, reverse=True))
