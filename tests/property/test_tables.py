"""Every row of every table is reached, and leads where it says: else the tests of a table could hold because nothing happens.

The walks are seeded, so they are the same each time. Orders have theirs in tests/property/test_orders.py, officers' moves one for
each row in tests/unit/domain/test_loop_diagram.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import pytest

from schemas.appeals import AppealMove, AppealRequest
from schemas.dissuasion import DissuasionEventKind
from schemas.oversight.appraisals import SupervisionMoveKind
from schemas.oversight.oversight import DataMove, DataMoveKind
from stream_processors.domain import appeals, dissuasion
from stream_processors.domain.notifications.reversals import Executed
from stream_processors.domain.oversight import appraisal, data_request, supervision
from stream_processors.domain.state_machine import NONE
from stream_processors.webhooks import delivery_state
from stream_processors.webhooks.responses import CallOutcome
from tests.property import test_assessment, test_objection, test_webhook_schedule
from tests.support.builders import T0, after
from tests.support.order_builders import OFFICER, REACH, ask, dissuasion_event
from tests.support.scores import BODY, UNIT, step

Change = tuple[str, str, str]
"""State before, event, state after."""
WALKS, STEPS = 80, 40


def dissuasions(rng: Random) -> Iterator[Change]:
    record = dissuasion.decide(dissuasion=None, event=ask(), actor=OFFICER, now=T0).dissuasion
    yield NONE, "ask", record.state
    actors = [*(f"institution:{reach.party}" for reach in REACH), "officer:a", "stage:timekeeper"]
    for _ in range(STEPS):
        kind = rng.choice(list(DissuasionEventKind))
        result = {"attempt": "hung_up", "succeed": "convinced"}.get(kind)
        outcome = "paid" if kind in ("give_up", "cancel") else None
        event = dissuasion_event(kind, result, outcome=outcome)
        change = dissuasion.decide(dissuasion=record, event=event, actor=rng.choice(actors), now=T0)
        if change.dissuasion is not None:
            yield record.state, kind, change.dissuasion.state
            record = change.dissuasion


def objections(rng: Random) -> Iterator[Change]:
    """By the time of its release nothing may be left that was executed."""
    record, parties = None, test_objection.PARTIES
    for number in range(STEPS):
        executed = [Executed(who, "freeze", f"order-{who}") for who in parties[: rng.randrange(4)]]
        around = appeals.Around(test_objection.AGENCY, executed)
        request = AppealRequest(
            request_id=f"req-{number}",
            appeal_id="obj-1",
            case_id="case-1",
            action=rng.choice(list(AppealMove)),
            party=rng.choice(parties),
            officer="officer-a",
            text_sealed="words",
        )
        decided = appeals.decide(request=request, appeal=record, around=around, now=after(minutes=number))
        if decided.appeal is not None:
            yield record.state if record else NONE, request.action, decided.appeal.state
            record = decided.appeal


def appraisals(rng: Random) -> Iterator[Change]:
    pick: list[Any] = [["publish", "dispute", "decide", "lock"], [True], range(4), [0, 0, 0, 0, 1, 12], [False]]
    steps = [tuple(rng.choice(options) for options in pick) for _ in range(STEPS)]
    for before, move, change in test_assessment._play(steps):
        if change.record is not None:
            yield before.state, move.kind, change.record.state


def supervisions(rng: Random) -> Iterator[Change]:
    record, days = supervision.decide(move=step("issue"), record=None, now=T0).record, 0
    for number in range(STEPS):
        days += rng.choice([0, 1, 12])
        kind = rng.choice(list(SupervisionMoveKind))
        move = step(kind, UNIT if kind == "answer" else BODY, action_id=f"m-{number}", answer_by=after(days=days + 7))
        change = supervision.decide(move=move, record=record, now=after(days=days))
        if change.record is not None:
            yield record.state, kind, change.record.state
            record = change.record


def data_requests(rng: Random) -> Iterator[Change]:
    record, days = None, 0
    kinds = [DataMoveKind.REQUEST, *(rng.choice(list(DataMoveKind)) for _ in range(STEPS))]
    for number, kind in enumerate(kinds):
        days += rng.choice([0, 1, 12])
        move = DataMove.model_validate(
            {
                "action_id": f"m-{number}",
                "kind": kind,
                "request_id": "dat-1",
                "party": UNIT if kind is DataMoveKind.SUBMIT else BODY,
                "unit": UNIT,
                "due_at": after(days=days + 7),
                "document_number": "D-1",
                "finding": "omitted",
            }
        )
        change = data_request.decide(move=move, record=record, now=after(days=days))
        if change.record is not None:
            if record is not None:
                yield record.state, kind, change.record.state
            record = change.record


def deliveries(rng: Random) -> Iterator[Change]:
    events = [*CallOutcome, *delivery_state.DeliveryRequest, CallOutcome.RETRY_LATER, delivery_state.DeliveryRequest.REPLAY]
    steps = [
        (rng.choice(events), 0, rng.choice([None, 9e9]), rng.choice([0, 1, 90, 450])) for _ in range(rng.randrange(2, STEPS))
    ]
    for before, event, moved in test_webhook_schedule._play(steps):
        if (before.state, event) in delivery_state.TABLE:
            yield before.state, event, moved.state


TABLES: list[tuple[Mapping[Any, Any], Callable[[Random], Iterator[Change]]]] = [
    (dissuasion.TABLE, dissuasions),
    (appeals.TABLE, objections),
    (appraisal.TABLE, appraisals),
    (supervision.TABLE, supervisions),
    (data_request.TABLE, data_requests),
    (delivery_state.TABLE, deliveries),
]


@pytest.mark.parametrize(("table", "walk"), TABLES, ids=[walk.__name__ for _, walk in TABLES])
def test_every_row_is_reached_and_leads_where_it_says(
    table: Mapping[Any, Any], walk: Callable[[Random], Iterator[Change]]
) -> None:
    reached: dict[tuple[str, str], set[str]] = {}
    for seed in range(WALKS):
        for state, event, to in walk(Random(seed)):
            reached.setdefault((state, event), set()).add(to)
    assert set(table) - set(reached) == set() and set(reached) <= set(table)
    assert {key: set(row.to) for key, row in table.items()} == reached, "to each state that it names, and to no other"
