"""The pictures are the tables: every row an arrow, the same text each time, and the pages show what the code does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.cases.case import ActionOutcome
from stream_processors.domain import appeals as appeal
from stream_processors.domain import dissuasion
from stream_processors.domain.cases import decide as case
from stream_processors.domain.cases.decide import LAPSED
from stream_processors.domain.deadlines import deadlines as clocks
from stream_processors.domain.orders import order
from stream_processors.domain.oversight import appraisal as appraisal
from stream_processors.domain.oversight import data_request, supervision
from stream_processors.domain.state_diagrams import PICTURES, Edge, diagram
from tests.support.builders import POLICY, T0, after, case_in, move

GUIDE = Path(__file__).parents[3] / "docs" / "guide"


def test_a_picture_says_each_row_once() -> None:
    arrows = (
        Edge("none", "ask", "open"),
        Edge("open", "take", "done"),
        Edge("open", "seize", "done"),
        Edge("done", "look", "done"),
    )
    assert diagram(arrows) == (
        "stateDiagram-v2\n    [*] --> open: ask\n    open --> done: take, seize\n    done --> done: look\n    done --> [*]\n"
    )


TABLES: list[tuple[str, dict[Any, Any]]] = [
    ("order", order.TABLE),
    ("dissuasion", dissuasion.TABLE),
    ("case", case.TABLE),
    ("appeal", appeal.TABLE),
    ("clock", clocks.TABLE),
    ("appraisal", appraisal.TABLE),
    ("supervision", supervision.TABLE),
    ("data-request", data_request.TABLE),
]
SHOWN = [
    ("order", "orders"),
    ("dissuasion", "orders"),
    ("case", "cases"),
    ("appeal", "cases"),
    ("clock", "deadlines"),
    ("appraisal", "scorecards"),
    ("supervision", "scorecards"),
    ("data-request", "scorecards"),
]


def test_every_table_is_drawn_and_shown() -> None:
    assert {name for name, _ in TABLES} == {name for name, _ in SHOWN} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_the_same_each_time(name: str) -> None:
    assert diagram(PICTURES[name]()) == diagram(PICTURES[name]())


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_every_row_of_a_table_is_an_arrow(name: str, table: dict[Any, Any]) -> None:
    arrows = {(edge.state, edge.event) for edge in PICTURES[name]()}
    assert {(str(state), str(event)) for state, event in table} <= arrows


@pytest.mark.parametrize(("name", "page"), SHOWN)
def test_the_page_shows_the_picture_of_the_table(name: str, page: str) -> None:
    assert f"<!-- {name} -->\n```mermaid\n{diagram(PICTURES[name]())}```" in (GUIDE / f"{page}.md").read_text("utf-8")


@pytest.mark.parametrize(("state", "kind"), case.TABLE)
def test_a_case_goes_where_its_picture_says(state: str, kind: str) -> None:
    one = case_in(state)
    action = move(kind, "officer-a", action_id="act-new", revision=one.revision)
    now = after(days=1) if state == LAPSED else T0
    change = case.decide(action=action, actor="officer:officer-a", case=one, policy=POLICY, now=now)
    assert change.outcome is ActionOutcome.APPLIED and change.case is not None, change.detail
    assert change.case.status in case.TABLE[state, kind].to
