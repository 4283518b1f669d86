"""Renders the transition tables as Mermaid state diagrams, for the docs and the command line. Pure, and always the same text.

Invariant: every row of a table is an arrow, and every arrow is a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from schemas.cases.case import CaseStatus
from schemas.deadlines import DeadlineState
from schemas.oversight.appraisals import AppraisalState, SupervisionState
from schemas.oversight.oversight import DataState
from stream_processors.domain import appeals as appeal
from stream_processors.domain import dissuasion
from stream_processors.domain.cases import decide as case
from stream_processors.domain.deadlines import deadlines as clocks
from stream_processors.domain.orders import order
from stream_processors.domain.oversight import appraisal as appraisal
from stream_processors.domain.oversight import data_request, supervision
from stream_processors.domain.state_machine import NONE, Transition


class Edge(NamedTuple):
    state: str
    event: str
    to: str


def edges(table: Mapping[tuple[str, str], Transition[Any, Any, Any, Any]]) -> tuple[Edge, ...]:
    """The table's rows as arrows, in order; a row names its possible targets (`to`)."""
    return tuple(Edge(str(state), str(event), str(to)) for (state, event), move in table.items() for to in move.to)


def diagram(arrows: Iterable[Edge]) -> str:
    """Mermaid text: states in order of appearance, one arrow for all events between two states. The pseudo-state `none` is the
    start; a state that only leads to itself is an end."""
    between: dict[tuple[str, str], list[str]] = {}
    for state, event, to in arrows:
        events = between.setdefault((state, to), [])
        if event not in events:
            events.append(event)
    lines = [f"    {_state_name(state)} --> {to}: {', '.join(events)}" for (state, to), events in between.items()]
    departures = {state for state, to in between if state != to}
    finals = dict.fromkeys(to for _, to in between if to not in departures)
    return "\n".join(["stateDiagram-v2", *lines, *(f"    {state} --> [*]" for state in finals)]) + "\n"


def _state_name(state: str) -> str:
    return "[*]" if state == NONE else state


def _case_edges() -> tuple[Edge, ...]:
    """Officers' actions, and the events without a table: signals join, a lease expires, the last signal is retracted."""
    return (
        Edge(NONE, "join", CaseStatus.OPEN),
        *edges(case.TABLE),
        Edge(CaseStatus.CLAIMED, "lease ends", case.LAPSED),
        Edge(CaseStatus.DISPOSED, "join", CaseStatus.OPEN),
        Edge(CaseStatus.CLOSED, "join", CaseStatus.OPEN),
        *(Edge(state, "last retract", CaseStatus.RETRACTED) for state in (CaseStatus.OPEN, CaseStatus.CLAIMED, case.LAPSED)),
        Edge(CaseStatus.RETRACTED, "join", CaseStatus.OPEN),
    )


def _clock_edges() -> tuple[Edge, ...]:
    started = Edge(NONE, "start", DeadlineState.OPEN)
    return started, *(Edge(str(state), event, str(to)) for (state, event), to in clocks.TABLE.items())


PICTURES: dict[str, Callable[[], tuple[Edge, ...]]] = {
    "case": _case_edges,
    "order": lambda: edges(order.TABLE),
    "dissuasion": lambda: edges(dissuasion.TABLE),
    "appeal": lambda: edges(appeal.TABLE),
    "clock": _clock_edges,
    "appraisal": lambda: (Edge(NONE, "open", AppraisalState.OPEN), *edges(appraisal.TABLE)),
    "supervision": lambda: (Edge(NONE, "issue", SupervisionState.ISSUED), *edges(supervision.TABLE)),
    "data-request": lambda: (Edge(NONE, "request", DataState.REQUESTED), *edges(data_request.TABLE)),
}
"""Name of a table -> its arrows."""
