"""The whole loop of a case under any sequence of actions: no illegal state, each moment of a clock once and never early, no more
held than arrived, an answer to everybody who was told; and the same log gives the same facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from orjson import loads

from schemas.appeals import AppealRequest
from schemas.cases.case import Action, ActionKind, ActionOutcome, Case, CaseChange, CaseStatus, Disposition
from schemas.codec import dump
from schemas.common import instant_ms
from schemas.deadlines import DeadlineState, Due
from schemas.dissuasion import DissuasionEvent
from schemas.orders.order import LIVE, OrderState
from stream_processors.domain.cases import orders as case_orders
from stream_processors.domain.cases.decide import decide
from stream_processors.domain.cases.state import phase_of
from stream_processors.domain.orders import order_book as orders
from tests.support.builders import POLICY, T0, join, taken_back
from tests.support.loop import CALENDAR, QUEUE
from tests.support.order_builders import ANSWERS, ask, event, issue, measure, subject, transfer

OFFICERS = ("officer-a", "officer-b", "officer-c")
BANKS = ("bank-001", "bank-002", "telecom-001")
KINDS = ("stop_payment", "freeze", "release", "return_funds", "suspend_number", "request_information")
ANSWERED = ("deliver", "verify", "mismatch", "execute", "refuse", "fail", "lift")
MOVED = ("approve", "reject", "withdraw", "renew")
ARRIVED = 1_000_000

N = st.integers(0, 3)
MINOR = st.sampled_from([1, ARRIVED, 2 * ARRIVED])
STEP = st.one_of(
    st.tuples(st.just("join"), st.sampled_from(BANKS), N, st.integers(0, 9)),
    st.tuples(st.just("retract"), N),
    st.tuples(
        st.sampled_from(["claim", "claim", "release", "dispose", "acknowledge", "transfer", "close", "reopen", "split"]),
        st.sampled_from(OFFICERS),
        st.sampled_from(list(Disposition)),
    ),
    st.tuples(st.just("issue"), st.sampled_from(OFFICERS), st.sampled_from(KINDS), N, N, MINOR),
    st.tuples(st.just("officer"), st.sampled_from(OFFICERS), st.sampled_from(MOVED), N),
    st.tuples(st.just("answer"), st.sampled_from(BANKS), st.sampled_from(ANSWERED), N, MINOR),
    st.tuples(st.just("measure"), st.sampled_from(BANKS), st.sampled_from(["warned", "blocked", "reported"]), N),
    st.tuples(
        st.just("dissuasion"), st.sampled_from([*BANKS, *OFFICERS]), st.sampled_from(["ask", "take", "give_back", "cancel"])
    ),
    st.tuples(
        st.just("appeal"),
        st.sampled_from([*BANKS, *OFFICERS]),
        st.sampled_from(["file", "notice", "uphold", "reject", "release", "confirm"]),
    ),
    st.tuples(st.just("clock"), N, st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1, 60, 3600, 86_400, 40 * 86_400])),
    st.tuples(st.just("again"), N),
)
TOLD = st.sampled_from(["ordered", "executed", "objected", "taken"])
STORY = st.tuples(st.just("story"), TOLD, st.sampled_from(KINDS), N, MINOR)
"""Several steps that follow each other, as they mostly do."""
STEPS = st.lists(st.one_of(STORY, STORY, STEP), min_size=3, max_size=18)


class Play:
    """One case; what is asked for is made from the case as it stands, so that much of it is allowed."""

    def __init__(self) -> None:
        self.case: Case | None = None
        self.now: datetime = T0
        self.played: list[tuple[Case | None, Action, str, datetime, CaseChange]] = []
        self.live: list[Any] = []

    def run(self, steps: list[Any]) -> Play:
        begin = [("join", "bank-001", 0, 8), ("claim", "officer-a", None)]
        for number, step in enumerate(one for told in (*begin, *steps) for one in self._told(told)):
            made = self.made(number, *step)
            if made is not None:
                self.take(*made)
        return self

    def _told(self, step: Any) -> Iterator[Any]:
        """A step, or those of a story. They come one by one, so the last order is the one that the step before gave."""
        if step[0] != "story":
            yield step
            return
        _, what, of_kind, about, minor = step
        yield ("claim", "officer-a", None)
        yield ("issue", "officer-a", of_kind, about, about, minor)
        if what == "ordered":
            return
        yield ("officer", "officer-b", "approve", -1)
        yield ("answer", "", "verify", -1, minor)
        yield ("answer", "", "execute", -1, minor)
        if what == "objected":
            yield ("appeal", "bank-001", "file")
            yield ("appeal", "bank-001", "notice")
            yield ("appeal", "officer-c", "uphold")
            yield ("appeal", "officer-c", "release")
        if what == "taken":
            yield ("dissuasion", "officer-a", "ask")
            yield ("dissuasion", "bank-001", "take")

    def take(self, action: Action, actor: str) -> None:
        self.now += timedelta(seconds=1)
        change = decide(action=action, actor=actor, case=self.case, policy=POLICY, now=self.now, calendar=CALENDAR)
        self.played.append((self.case, action, actor, self.now, change))
        self.case = change.case or self.case

    def made(self, n: int, kind: str, *with_: Any) -> tuple[Action, str] | None:
        return getattr(self, f"_{kind}", self._move)(n, kind, *with_)

    def _action(self, n: int, kind: str, actor: str, **fields: Any) -> tuple[Action, str]:
        role, _, name = actor.partition(":")
        whole = {"action_id": f"act-{n}", "case_id": "case-1", "kind": ActionKind(kind), "queue": QUEUE}
        if role == "officer":
            whole["officer"] = name
        return Action.trusted(**{**whole, **fields}), actor

    def _join(self, n: int, kind: str, bank: str, money: int, points: int) -> tuple[Action, str]:
        made = join(
            "case-1", f"join-{n}", signal_id=f"sig-{n}", institution=bank, score=points * 10, amount_minor=money * ARRIVED or None
        )
        self.live.append(made.signal)
        return made, "stage:assess"

    def _retract(self, n: int, kind: str, which: int) -> tuple[Action, str] | None:
        listed = [one for one in self.live if self.case and one.signal_id in {kept.signal_id for kept in self.case.signals}]
        if not listed:
            return None
        gone = listed[which % len(listed)]
        self.live.remove(gone)
        return taken_back(gone), "stage:assess"

    def _move(self, n: int, kind: str, officer: str, disposition: Any) -> tuple[Action, str] | None:
        assert self.case is not None
        if kind == "split" and not self.case.signals:
            return None
        needs: dict[str, Any] = {
            "dispose": {"disposition": disposition},
            "transfer": {"queue": "financial-regulator-630200" if self.case.queue == QUEUE else QUEUE},
            "reopen": {"note_sealed": "k1.why"},
            "split": {"signals": tuple(one.signal_id for one in self.case.signals[:1])},
        }
        return self._action(n, kind, f"officer:{officer}", **needs.get(kind, {}))

    def _issue(self, n: int, kind: str, officer: str, of_kind: str, about: int, of: int, minor: int) -> tuple[Action, str]:
        """Each subject is an account of its own transfer at one bank."""
        known = [one.order_id for one in self.case.orders] if self.case else []
        over: dict[str, Any] = {"recipient": BANKS[about % 2]}
        if of_kind in ("stop_payment", "freeze"):
            over |= {"subject": subject(about), "verify": transfer(ARRIVED, about), "amount_minor": minor}
        elif of_kind == "suspend_number":
            over |= {"subject": subject(about)}
        if known and (of_kind in ("release", "return_funds") or (of_kind == "freeze" and of)):
            target = next(one for one in self.case.orders if one.order_id == known[of % len(known)])
            over |= {"related_order_id": target.order_id, "recipient": target.recipient, "amount_minor": minor, "currency": "CNY"}
            over |= {"method": "pro_rata"} if of_kind == "return_funds" and about % 2 else {}
            if of_kind == "freeze" and target.subject is not None:
                over |= {"subject": target.subject, "verify": target.verify}
        return self._action(n, "order", f"officer:{officer}", order=issue(of_kind, f"ord-{n}", **over))

    def _known(self, which: int) -> Any:
        return self.case.orders[which % len(self.case.orders)] if self.case and self.case.orders else None

    def _officer(self, n: int, kind: str, officer: str, what: str, which: int) -> tuple[Action, str] | None:
        one = self._known(which)
        return one and self._action(n, "order", f"officer:{officer}", order=event(what, one.order_id))

    def _answer(self, n: int, kind: str, bank: str, what: str, which: int, minor: int) -> tuple[Action, str] | None:
        one = self._known(which)
        if one is None:
            return None
        said = {**ANSWERS.get(what, {}), **({"amount_minor": minor} if what == "execute" else {})}
        who = one.recipient if n % 4 or not bank else bank
        return self._action(n, "order", f"institution:{who}", order=event(what, one.order_id, **said))

    def _measure(self, n: int, kind: str, bank: str, what: str, which: int) -> tuple[Action, str]:
        one = measure(what, f"m-{which}-{bank}", institution=bank, done_at=self.now)
        return self._action(n, "measure", f"institution:{bank}", measure=one)

    def _dissuasion(self, n: int, kind: str, who: str, what: str) -> tuple[Action, str]:
        made = ask() if what == "ask" else DissuasionEvent(event_id="x", dissuasion_id="dissuasion-1", kind=what)
        return self._action(n, "dissuasion", f"{'officer' if who in OFFICERS else 'institution'}:{who}", dissuasion=made)

    def _appeal(self, n: int, kind: str, who: str, move: str) -> tuple[Action, str]:
        officer = who if who in OFFICERS else None
        party = (self.case.queue if self.case else QUEUE) if officer else who
        made = AppealRequest(
            request_id="r", appeal_id="obj-1", case_id="case-1", action=move, party=party, officer=officer, text_sealed="k1.x"
        )
        return self._action(n, "appeal", f"{'officer' if officer else 'institution'}:{who}", appeal=made)

    def _clock(self, n: int, kind: str, which: int, waits: bool) -> tuple[Action, str] | None:
        """The timekeeper asks for a moment: when it is due, or whatever the time is."""
        waiting = [one for one in (self.case.deadlines if self.case else ()) if one.next_at is not None]
        if not waiting:
            return None
        one = sorted(waiting, key=lambda clock: clock.next_at)[which % len(waiting)]
        self.now = max(self.now, one.next_at) if waits else self.now
        due = Due.trusted(deadline=one.name, run=one.run, step=one.step)
        return self._action(n, "deadline_due", "stage:timekeeper", due=due)

    def _wait(self, n: int, kind: str, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def _again(self, n: int, kind: str, which: int) -> tuple[Action, str] | None:
        """Somebody tries again: the very same action."""
        sent = [(action, actor) for _, action, actor, _, _ in self.played if actor != "stage:assess"]
        return sent[-1 - which % len(sent)] if sent else None


@given(STEPS)
def test_no_more_is_held_than_arrived_and_nothing_is_held_that_is_not_in_force(steps: list[Any]) -> None:
    for _, _, _, _, change in Play().run(steps).played:
        if (case := change.case) is None:
            continue
        held: Counter[str] = Counter()
        for one in case.orders:
            if one.held_minor:
                assert one.state in (OrderState.EXECUTED, OrderState.RENEWED)
                assert one.subject is not None
                held[one.subject.token] += one.held_minor
        assert all(n <= ARRIVED for n in held.values())
        assert len(case.orders) <= orders.MOST_ORDERS and len(case.deadlines) <= 64


@given(STEPS)
def test_a_moment_of_a_clock_comes_once_and_never_early(steps: list[Any]) -> None:
    fired: set[tuple[str, int, str]] = set()
    for before, action, _, now, change in Play().run(steps).played:
        if action.kind is not ActionKind.DEADLINE_DUE or change.outcome is not ActionOutcome.APPLIED:
            continue
        assert action.due is not None and before is not None
        moment = (action.due.deadline, action.due.run, action.due.step)
        assert moment not in fired
        fired.add(moment)
        clock = next(one for one in before.deadlines if (one.name, one.run) == moment[:2])
        assert clock.next_at is not None and clock.next_at <= now


@given(STEPS)
def test_a_run_of_a_clock_is_never_used_again_and_what_waits_has_its_moment(steps: list[Any]) -> None:
    begun: dict[tuple[str, int], datetime] = {}
    for _, _, _, _, change in Play().run(steps).played:
        for one in change.case.deadlines if change.case else ():
            assert begun.setdefault((one.name, one.run), one.started_at) == one.started_at
            ended = one.state in (DeadlineState.STOPPED, DeadlineState.CANCELLED)
            assert not ended or one.next_at is None
            assert one.state is not DeadlineState.OPEN or one.next_at is not None


@given(STEPS)
def test_a_suspicious_report_is_owed_by_who_reported_a_confirmed_case_and_by_nobody_else(steps: list[Any]) -> None:
    for _, _, _, _, change in Play().run(steps).played:
        if (case := change.case) is None:
            continue
        owed = [one for one in case.deadlines if one.name == "suspicious_report" and one.state is DeadlineState.OPEN]
        assert all(one.about in case.institutions and one.about.startswith("bank-") for one in owed)
        assert len(owed) == len({one.about for one in owed})
        assert not owed or case.disposition is Disposition.CONFIRMED
        if change.kind is ActionKind.DISPOSE and case.disposition is Disposition.CONFIRMED:
            theirs = [one for one in case.deadlines if one.name == "suspicious_report"]
            asked = {one.about for one in theirs if one.state is not DeadlineState.CANCELLED}
            assert {one for one in case.institutions if one.startswith("bank-")} <= asked


@given(STEPS)
def test_every_live_order_can_end_by_itself(steps: list[Any]) -> None:
    """A clock runs for it: what nobody answers is asked for, what nobody renews expires."""
    for _, _, _, _, change in Play().run(steps).played:
        if (case := change.case) is None or change.kind is ActionKind.DEADLINE_DUE:
            continue
        running = {one.about for one in case.deadlines if one.state is DeadlineState.OPEN}
        fired = {one.about for one in case.deadlines if one.state is DeadlineState.FIRED}
        for one in case.orders:
            if one.state in (OrderState.AWAITING_APPROVAL, OrderState.ISSUED, OrderState.DELIVERED, OrderState.VERIFIED):
                assert one.order_id in running | fired, (one.kind, one.state)


@given(STEPS)
def test_a_refused_action_changes_nothing_and_says_why(steps: list[Any]) -> None:
    for before, _, _, _, change in Play().run(steps).played:
        if change.outcome is ActionOutcome.APPLIED:
            assert change.case is not None
            assert change.case.revision == (before.revision if before else 0) + 1
            continue
        assert change.case is None and not change.notifications and not change.follow_ups and change.figure_changes is None
        assert change.outcome is ActionOutcome.REDELIVERY or (change.detail and change.problem)


@given(STEPS)
def test_what_is_decided_again_from_the_log_is_the_same(steps: list[Any]) -> None:
    """Also from a case that was written and read again in between, as a rebuild and a restart do."""
    case = None
    for _, action, actor, now, change in Play().run(steps).played:
        read = Action.model_validate_json(dump(action))
        again = decide(action=read, actor=actor, case=case, policy=POLICY, now=now, calendar=CALENDAR)
        assert loads(dump(again)) == loads(dump(change))
        case = Case.model_validate_json(dump(again.case)) if again.case is not None else case


@given(STEPS)
def test_a_notice_has_one_id_and_reaches_nobody_who_reported_by_name(steps: list[Any]) -> None:
    seen: set[str] = set()
    for _, _, _, _, change in Play().run(steps).played:
        for one in change.notifications:
            assert one.notification_id not in seen
            seen.add(one.notification_id)
            if one.feedback or one.warning or one.retraction:
                said = dump(one).decode()
                assert all(bank not in said for bank in BANKS if bank != one.recipient)


@given(STEPS)
def test_whoever_carried_out_what_was_taken_back_is_told_to_lift_it(steps: list[Any]) -> None:
    play = Play().run([*steps, ("claim", "officer-a", None), ("dispose", "officer-a", Disposition.FALSE_POSITIVE)])
    last = play.played[-1][-1]
    if last.outcome is not ActionOutcome.APPLIED or last.case is None:
        return
    pending = {one.related_order_id for one in last.case.orders if one.kind == "release" and one.state in LIVE}
    for one in last.case.orders:
        if one.kind in case_orders.REVERSIBLE and one.state in LIVE:
            assert one.order_id in pending, (one.kind, one.state)
    told = {one.recipient for one in last.notifications if one.template == "order_released"}
    before = play.played[-1][0]
    assert before is not None
    known = {one.order_id for one in before.orders}
    assert told == {one.recipient for one in last.case.orders if one.kind == "release" and one.order_id not in known}


@given(STEPS)
def test_a_phase_is_one_of_the_tables(steps: list[Any]) -> None:
    for _, _, _, now, change in Play().run(steps).played:
        if change.case is not None:
            assert phase_of(change.case, now)
            assert (change.case.status is CaseStatus.MERGED) == (change.case.merged_into is not None)
            assert change.at == now and instant_ms(change.case.changed_at) == instant_ms(now)
