"""The orders of a case and a dissuasion under any sequence of events, of anybody, at any time."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from schemas.dissuasion import OVER, Dissuasion, DissuasionEventKind
from schemas.orders.kinds import HOLDS, LETTERS, REVERSIBLE, OrderKind
from schemas.orders.order import LIVE, UNDONE, Order, OrderEventKind, OrderState
from schemas.orders.policy import OrderRules
from stream_processors.domain import dissuasion
from stream_processors.domain.orders import order
from stream_processors.domain.orders import order_book as orders
from stream_processors.domain.state_machine import Table, allow, party
from tests.support.builders import T0
from tests.support.order_builders import ANSWERS, REACH, RULES, Desk, ask, dissuasion_event, ends, event, issue, subject, transfer

ARRIVED = 1_000_000
IDS = tuple(f"ord-{number}" for number in range(1, 7))
ACTORS = ("officer:officer-a", "officer:officer-b", "institution:bank-001", "institution:bank-002", "stage:timekeeper")
TRIED = {
    **ANSWERS,
    "pay_back": {"amount_minor": 400_000},
}

ISSUE = st.fixed_dictionaries(
    {
        "do": st.just("issue"),
        "id": st.sampled_from(IDS),
        "kind": st.sampled_from(["stop_payment", "stop_payment", "freeze", "freeze", "release", "return_funds", "block_app"]),
        "of_any": st.integers(0, 7),
        "amount": st.sampled_from([400_000, 800_000, ARRIVED, ARRIVED + 1]),
        "traced": st.sampled_from([None, 500_000, ARRIVED]),
        "transfer": st.integers(0, 1),
        "account": st.sampled_from([1, 1, 1, 2]),
        "actor": st.sampled_from(ACTORS[:2]),
        "pause_h": st.sampled_from([0, 0, 1, 47]),
    }
)
OTHER = st.fixed_dictionaries(
    {
        "do": st.sampled_from([kind.value for kind in OrderEventKind if kind is not OrderEventKind.ISSUE]),
        "id": st.sampled_from(IDS),
        "amount": st.sampled_from([None, 0, 400_000, 800_000, ARRIVED, ARRIVED + 1]),
        "arrived": st.sampled_from([None, None, 700_000, ARRIVED]),
        "done_h": st.sampled_from([None, None, -1, 1]),
        "actor": st.sampled_from(ACTORS),
        "pause_h": st.sampled_from([0, 0, 0, 1, 47, 49]),
    }
)
GUIDED = st.fixed_dictionaries(
    {
        "do": st.none(),
        "pick": st.integers(0, 255),
        "amount": st.sampled_from([400_000, 800_000]),
        "arrived": st.none(),
        "done_h": st.none(),
        "pause_h": st.sampled_from([0, 0, 0, 1, 49, 744]),
    }
)
"""One of the moves that are open, by whoever may make it, so that orders live long and die in every way."""


def _walk(seed: int) -> list[dict[str, Any]]:
    """A long way through the table, mostly along what is open. It shrinks badly, and comes where short lists do not."""
    rng = random.Random(seed)

    def money() -> dict[str, Any]:
        return {"amount": rng.choice([400_000, 800_000]), "pause_h": rng.choices([0, 1, 49, 744], [80, 12, 2, 1])[0]}

    steps: list[dict[str, Any]] = []
    for number in range(60):
        common = {**money(), "id": rng.choice(IDS), "arrived": None, "done_h": None}
        sort = rng.choices(["issue", "guided", "other"], [25, 60, 15])[0]
        if sort == "issue":
            kind = rng.choice(["stop_payment", "freeze", "freeze", "release", "return_funds", "return_funds", "block_app"])
            of = {"of_any": rng.randrange(8), "traced": None, "transfer": rng.randrange(2), "account": rng.choice([1, 1, 1, 2])}
            amount = rng.choice([400_000, 800_000, ARRIVED])
            steps.append(
                {**common, **of, "do": "issue", "kind": kind, "actor": ACTORS[0], "id": f"ord-{number}", "amount": amount}
            )
        elif sort == "guided":
            steps.append({**common, "do": None, "pick": rng.randrange(256)})
        else:
            steps.append({**common, "do": rng.choice(list(OrderEventKind)[1:]).value, "actor": rng.choice(ACTORS)})
    return steps


STEPS = st.one_of(st.lists(st.one_of(ISSUE, OTHER, GUIDED, GUIDED, GUIDED), max_size=40), st.integers(0, 2**32).map(_walk))
ACTOR_OF = {
    "officer": "officer:officer-b",
    "institution": "institution:bank-001",
    "stage": "stage:timekeeper",
    "order": "order:x",
}
WRONG_OF = {"officer": "officer:officer-a", "institution": "institution:bank-002"}
"""Now and then: who asked for it, and who was not asked."""
STOP, FREEZE = RULES.kinds[OrderKind.STOP_PAYMENT], RULES.kinds[OrderKind.FREEZE]
PLAYED = OrderRules(
    kinds={
        **RULES.kinds,
        OrderKind.STOP_PAYMENT: STOP.model_copy(update={"dual_approval_from_minor": ARRIVED}),
        OrderKind.FREEZE: FREEZE.model_copy(update={"renewals": 2}),
    }
)


FORWARD = ("approve", "verify", "execute", "renew", "expire")
"""These come up more often, so that orders live long."""


def _guided(step: dict[str, Any], desk: Desk) -> dict[str, Any]:
    """The step with its order, event and actor chosen from what is open to people and clocks."""
    found = [
        (one.order_id, event_kind, role)
        for one in desk.orders
        for role in ("officer", "institution", "stage")
        for event_kind in order.TABLE.allowed(one.state, one, {role})
    ]
    found += [(name, kind, role) for name, kind, role in found if kind in FORWARD for _ in range(3)]
    if not found:
        return {**step, "do": "deliver", "id": "ord-1", "actor": ACTORS[4]}
    name, kind, role = found[step["pick"] % len(found)]
    wrong = step["pick"] % 11 == 0
    return {**step, "do": kind, "id": name, "actor": WRONG_OF.get(role, ACTOR_OF[role]) if wrong else ACTOR_OF[role]}


OF_KIND = {"release": tuple(REVERSIBLE), "return_funds": ("freeze",), "freeze": ("stop_payment",)}


def _target(step: dict[str, Any], desk: Desk) -> Order | None:
    """What a release and a return are about, a freeze half the time, others now and then: one that fits, if there is one."""
    if step["kind"] not in ("release", "return_funds") and step["of_any"] >= (4 if step["kind"] == "freeze" else 1):
        return None
    fit = [one for one in desk.orders if one.kind in OF_KIND.get(step["kind"], (one.kind,))]
    live = [one for one in fit if one.state in LIVE] or fit
    return live[step["of_any"] % len(live)] if live else None


def _event(step: dict[str, Any], number: int, desk: Desk) -> Any:
    name = f"act-{number}"
    if step["do"] == "issue":
        money = step["kind"] in ("stop_payment", "freeze")
        target = _target(step, desk)
        over: dict[str, Any] = {
            "amount_minor": step["amount"],
            "related_order_id": target and target.order_id,
            "traced_minor": step["traced"],
        }
        over |= {"method": "pro_rata"} if step["kind"] == "return_funds" and step["transfer"] else {}
        over |= {"verify": target.verify if target else transfer(ARRIVED, step["transfer"])} if money else {}
        over |= (
            {"subject": target.subject if target else subject(step["account"])} if money or step["kind"] == "block_app" else {}
        )
        return issue(step["kind"], step["id"], **over).model_copy(update={"event_id": name})
    over = {**TRIED.get(step["do"], {}), "event_id": name}
    if step["amount"] is not None:
        over["amount_minor"] = step["amount"]
    over |= {"credited_minor": step["arrived"]} if step["arrived"] else {}
    over |= {"done_at": desk.now + timedelta(hours=step["done_h"])} if step["done_h"] else {}
    return event(step["do"], step["id"], **over)


def _play(steps: list[dict[str, Any]]) -> list[tuple[tuple[Order, ...], Any, str, Any, Any]]:
    """(orders before, event, actor, change, now) of each step."""
    desk, played = Desk(PLAYED), []
    for number, step in enumerate(steps):
        now = desk.now + timedelta(hours=step["pause_h"])
        chosen = step if step["do"] else _guided(step, desk)
        before = desk.orders
        one = _event(chosen, number, desk)
        played.append((before, one, chosen["actor"], desk.do(one, chosen["actor"], now), now))
    return played


GUARDLESS = Table("order", {at: row._replace(guard=allow) for at, row in order.TABLE.items()})


@given(STEPS)
def test_a_refusal_changes_nothing_and_every_move_that_it_lists_is_open_but_for_guards(steps: list[Any]) -> None:
    for before, one, actor, change, now in _play(steps):
        if change.refused is None:
            continue
        assert (change.orders, change.order, change.notices, change.starts, change.stops) == (before, None, (), (), ())
        assert change.refused.why and change.refused.problem
        for name in change.refused.allowed_transitions:
            tried = issue(order_id=one.order_id) if name == "issue" else event(name, one.order_id, **TRIED.get(name, {}))
            # Of this order alone: what would follow for another one, ended meanwhile, is that one's to refuse.
            own = next((known for known in before if known.order_id == one.order_id), None)
            others = tuple(known for known in before if known is not own)
            with patch.object(order, "TABLE", GUARDLESS):
                told = order.decide(order=own, event=tried, actor=actor, rules=PLAYED, now=now, ends=ends, others=others)
            assert told.refused is None


@given(STEPS)
def test_what_is_not_open_is_refused_and_what_is_open_only_by_a_guard(steps: list[Any]) -> None:
    for before, one, actor, change, _ in _play(steps):
        found = next((it for it in before if it.order_id == one.order_id), None)
        if found is None or actor == "institution:bank-002":
            continue
        listed = one.kind in order.TABLE.allowed(found.state, found, {party(actor).role})
        assert listed or change.refused is not None
        if change.refused is not None:
            assert (one.kind in change.refused.allowed_transitions) == listed


@given(STEPS)
def test_an_order_goes_only_where_the_table_leads(steps: list[Any]) -> None:
    for before, one, _, change, _ in _play(steps):
        if change.order is None:
            continue
        was = {it.order_id: it for it in before}
        for after in change.orders:
            old = was.get(after.order_id)
            if old == after:
                continue
            state = old.state if old else order.NONE
            kind = after.history[-1].event
            assert after.state in order.TABLE[state, kind].to
            assert after.order_id == one.order_id or kind in ("release", "supersede", "pay_back", "lift", "lower")


@given(STEPS)
def test_only_what_was_carried_out_and_not_ended_holds_money(steps: list[Any]) -> None:
    for _, _, _, change, _ in _play(steps):
        for one in change.orders:
            held = one.state in (OrderState.EXECUTED, OrderState.RENEWED) and one.kind in HOLDS
            assert (one.held_minor > 0) == held
            assert one.state in LIVE or one.held_minor == 0


@given(STEPS)
def test_no_more_is_held_than_was_ordered_traced_and_arrived(steps: list[Any]) -> None:
    for _, _, _, change, _ in _play(steps):
        of_money: dict[Any, int] = defaultdict(int)
        for one in change.orders:
            if not one.held_minor:
                continue
            assert one.held_minor <= min(one.amount_minor, one.traced_minor or ARRIVED, one.verify.amount_minor)
            of_money[one.subject.token, one.verify.occurred_at] += one.held_minor
        assert all(total <= ARRIVED for total in of_money.values())


@given(STEPS)
def test_no_more_is_returned_than_was_frozen(steps: list[Any]) -> None:
    played = _play(steps)
    frozen: dict[str, int] = {}
    for _, one, _, change, _ in played:
        if change.order is not None and one.kind is OrderEventKind.EXECUTE and change.order.kind is OrderKind.FREEZE:
            frozen[one.order_id] = one.amount_minor
    final = played[-1][3].orders if played else ()
    for name, most in frozen.items():
        assert sum(one.paid_minor for one in final if one.related_order_id == name) <= most


@given(STEPS)
def test_an_order_is_carried_out_at_most_once(steps: list[Any]) -> None:
    times: dict[str, int] = defaultdict(int)
    for _, one, actor, change, _ in _play(steps):
        if change.order is not None and one.kind is OrderEventKind.EXECUTE:
            times[one.order_id] += 1
            assert actor == "institution:bank-001"
            assert change.order.executed_at is not None
    assert all(n == 1 for n in times.values())


@given(STEPS)
def test_a_stop_is_compared_before_it_is_carried_out(steps: list[Any]) -> None:
    for _, _, _, change, _ in _play(steps):
        for one in change.orders:
            if one.held_minor and one.kind is OrderKind.STOP_PAYMENT:
                assert one.verified_at is not None and one.verified_at <= one.executed_at + timedelta(minutes=5)
                assert one.refusal_reason is None


@given(STEPS)
def test_nothing_is_paid_back_pro_rata_before_its_notice_has_ended(steps: list[Any]) -> None:
    """But for what was paid after its order had ended, which is known all the same."""
    for _, _, _, change, now in _play(steps):
        for one in change.orders:
            assert (one.public_notice_until is not None) == (one.method == "pro_rata" and one.issued_at is not None)
            if one.public_notice_until is not None and one.state is OrderState.EXECUTED:
                assert one.public_notice_until <= one.executed_at <= now


PEOPLES = (OrderEventKind.ISSUE, OrderEventKind.APPROVE, OrderEventKind.RENEW)


@given(STEPS)
def test_the_caps_hold_whenever_somebody_decides(steps: list[Any]) -> None:
    """That a stop was carried out before its release may be said after others took its place: it counts from then on."""
    for _, event_, _, change, _ in _play(steps):
        stops: dict[str, int] = defaultdict(int)
        for one in change.orders:
            cap = PLAYED.kinds[one.kind].renewals
            assert cap is None or one.renewals <= cap
            if one.kind is OrderKind.STOP_PAYMENT and (one.state in LIVE or one.executed_at):
                stops[one.subject.token] += 1 + one.renewals
        decided = change.refused is None and event_.kind in PEOPLES and change.order is not None
        if decided and change.order.kind is OrderKind.STOP_PAYMENT:
            assert stops[change.order.subject.token] <= 2


@given(STEPS)
def test_what_needs_two_people_has_two(steps: list[Any]) -> None:
    for _, _, _, change, _ in _play(steps):
        for one in change.orders:
            if one.dual_approval and one.issued_at is not None:
                assert one.approved_by is not None and one.approved_by != one.issued_by


@given(STEPS)
def test_no_order_ends_early_and_none_is_renewed_after_its_end(steps: list[Any]) -> None:
    for before, one, _, change, now in _play(steps):
        old = next((it for it in before if it.order_id == one.order_id), None)
        if change.order is None or old is None:
            continue
        if one.kind is OrderEventKind.EXPIRE:
            assert old.valid_until <= now
        if one.kind in (OrderEventKind.RENEW, OrderEventKind.VERIFY) and old.valid_until:
            assert now < old.valid_until


@given(STEPS)
def test_whoever_carried_out_what_ended_is_told_or_has_said_that_it_is_lifted(steps: list[Any]) -> None:
    told: set[str] = set()
    for _, event_of, _, change, _ in _play(steps):
        if change.order is not None and event_of.kind is OrderEventKind.EXECUTE and change.order.ended_at is not None:
            returned = change.order.kind is OrderKind.RETURN_FUNDS  # it holds nothing that could be lifted
            assert returned or (change.notices[0].recipient, change.notices[0].kind) == ("bank-001", "release")
        told |= {one.order_id for one in change.notices if one.kind == "release" and one.recipient == "bank-001"}
        for one in change.orders:
            if one.executed_at is not None and one.state in (OrderState.EXPIRED, OrderState.RELEASED):
                releases = {it.order_id for it in change.orders if it.related_order_id == one.order_id}
                assert one.lifted_at is not None or one.order_id in told or releases & told


@given(STEPS)
def test_a_clock_runs_for_an_order_that_lasts_and_for_no_other(steps: list[Any]) -> None:
    """Started and stopped by the names and orders of the changes alone, as the stage does it."""
    running: dict[tuple[str, str], Any] = {}
    for _, one, _, change, _ in _play(steps):
        for stop in change.stops:
            running.pop((stop.name, stop.about), None)
        for start in change.starts:
            running[start.name, start.about] = start.due_at
        for it in change.orders:
            lasts = it.state in LIVE and it.state is not OrderState.AWAITING_APPROVAL and it.valid_until is not None
            assert running.get((it.validity_deadline, it.order_id)) == (it.valid_until if lasts else None), (one.kind, it.state)
            awaited = it.state in ("issued", "delivered", "verified")
            assert ((it.answer_deadline, it.order_id) in running) == (awaited and it.answer_by is not None)
            assert (("order_approval", it.order_id) in running) == (it.state is OrderState.AWAITING_APPROVAL)
            compares = it.kind is OrderKind.STOP_PAYMENT and it.state in ("issued", "delivered")
            assert (("verify_stop", it.order_id) in running) == compares
            waited = it.state in UNDONE and it.method == "pro_rata"
            assert running.get(("return_notice", it.order_id)) == (it.public_notice_until if waited else None)


@given(STEPS)
def test_a_decision_depends_on_its_arguments_alone_and_names_its_notices_once(steps: list[Any]) -> None:
    names: list[str] = []
    for before, one, actor, change, now in _play(steps):
        again = Desk(PLAYED)
        again.orders = before
        assert again.do(one, actor, now) == change
        names += [notice.notification_id for notice in change.notices]
    assert len(names) == len(set(names))


@given(STEPS)
def test_an_order_and_its_history_stay_bounded_and_can_be_read_back(steps: list[Any]) -> None:
    for _, _, _, change, _ in _play(steps)[-1:]:
        assert len(change.orders) <= orders.MOST_ORDERS
        for one in change.orders:
            assert len(one.history) <= 24
            assert Order.model_validate_json(one.model_dump_json()) == one
            assert one.kind not in LETTERS


DISSUASION_STEPS = st.lists(
    st.tuples(
        st.sampled_from([kind.value for kind in DissuasionEventKind if kind is not DissuasionEventKind.ASK]),
        st.sampled_from(
            [*(f"institution:{one.party}" for one in REACH), "institution:bank-002", "officer:a", "stage:timekeeper"]
        ),
        st.sampled_from([None, "convinced", "hung_up", "not_reached"]),
        st.sampled_from([None, "paid", "dissuaded"]),
        st.sampled_from([None, "police-station-ledu"]),
    ),
    max_size=30,
)


@given(DISSUASION_STEPS)
def test_one_party_at_a_time_works_on_a_dissuasion_and_one_that_is_over_stays_over(steps: list[Any]) -> None:
    current: Dissuasion = dissuasion.decide(dissuasion=None, event=ask(), actor="officer:a", now=T0).dissuasion  # type: ignore[assignment]
    running = True
    for kind, actor, result, outcome, unit in steps:
        one = dissuasion_event(kind, result, outcome=outcome, unit=unit)
        change = dissuasion.decide(dissuasion=current, event=one, actor=actor, now=T0)
        if change.dissuasion is None:
            assert change.refused is not None and change.notices == change.starts == change.stops == ()
            for name in change.refused.allowed_transitions:
                assert (current.state, DissuasionEventKind(name)) in dissuasion.TABLE
            continue
        assert current.state not in OVER
        assert change.dissuasion.state in dissuasion.TABLE[current.state, DissuasionEventKind(kind)].to
        who = unit if unit and actor.startswith("officer") else party(actor).id
        if current.taken_by not in (None, who):
            assert kind in ("cancel", "due")
        current = change.dissuasion
        running = bool(change.starts) or (running and not change.stops)
        assert running == (current.state not in OVER and current.missed_deadlines < dissuasion.MOST_MISSED)
        assert (current.state == "taken") <= (current.taken_by is not None)
        assert (current.state in OVER) == (current.outcome is not None) == (current.ended_at is not None)
        assert (current.state == "dissuaded") == (current.outcome == "dissuaded")


WALKS = 500


def test_the_sequences_come_through_every_state_and_every_row_of_the_table() -> None:
    """Else the tests above could hold because nothing happens in them."""
    states, rows, followed = set(), set(), set()
    for before, one, _, change, _ in (step for seed in range(WALKS) for step in _play(_walk(seed))):
        was = {it.order_id: it for it in before}
        for it in change.orders:
            if was.get(it.order_id) == it:
                continue
            states.add(it.state)
            old = was.get(it.order_id)
            rows.add((old.state if old else order.NONE, it.history[-1].event))
            if one.order_id != it.order_id:
                followed.add(it.history[-1].event)
    assert states == set(OrderState)
    assert followed == {"release", "supersede", "pay_back", "lift", "lower"}
    assert set(order.TABLE) - rows == set()
