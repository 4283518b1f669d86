"""The engine of the tables: what it refuses with which problem, what it lists as open, and in which order it asks."""

from __future__ import annotations

from typing import Any

import pytest

from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import NONE, Table, Transition

OWNER, GUEST = frozenset({"owner"}), frozenset({"guest"})


def take(step: dict[str, Any]) -> dict[str, Any] | Refusal:
    return Refusal("empty", "there is nothing") if step.get("empty") else {"state": "taken"}


def locked(step: dict[str, Any]) -> Refusal | None:
    return Refusal("locked", "it is locked") if step.get("locked") else None


def is_large(thing: str) -> bool:
    return thing == "large"


ROWS: dict[tuple[str, str], Transition[str, dict[str, Any], dict[str, Any], str]] = {
    (NONE, "make"): Transition(("open",), lambda step: {"state": "open"}, OWNER, detail="made"),
    ("open", "take"): Transition(("taken",), take, OWNER | GUEST, locked, detail="taken"),
    ("open", "split"): Transition(("open",), lambda step: {"state": "open"}, OWNER, when=is_large, detail="split"),
    ("open", "look"): Transition(("open",), lambda step: {}, is_offered=False, detail=""),
    ("taken", "give_back"): Transition(("open",), lambda step: {"state": "open"}, GUEST, detail="back"),
}
TABLE = Table("box", ROWS, problems={"lost": "gone"}, forbidden="forbidden")


def applied(event: str, state: str = "open", thing: str = "small", roles: Any = OWNER, **step: Any) -> Any:
    return TABLE.apply(state, event, step, thing=thing, roles=roles)


def test_a_table_is_its_rows() -> None:
    assert dict(TABLE) == ROWS and len(TABLE) == len(ROWS) and TABLE["open", "take"].detail == "taken"


def test_an_event_with_a_row_takes_effect() -> None:
    assert applied("take") == {"state": "taken"}
    assert applied("make", NONE) == {"state": "open"}


@pytest.mark.parametrize(
    ("state", "thing", "roles", "allowed"),
    [
        ("open", "small", OWNER, ("take",)),
        ("open", "large", OWNER, ("take", "split")),
        ("open", "large", GUEST, ("take",)),
        ("open", "large", None, ("take", "split")),
        ("open", "large", frozenset(), ()),
        ("taken", "large", OWNER, ()),
        ("lost", "large", None, ()),
    ],
)
def test_what_is_open_depends_on_state_thing_and_role(state: str, thing: str, roles: Any, allowed: tuple[str, ...]) -> None:
    assert TABLE.allowed(state, thing, roles) == allowed


def test_an_event_that_is_not_offered_is_accepted_from_anybody() -> None:
    assert applied("look", roles=frozenset()) == {} and "look" not in TABLE.allowed("open", "small")


def test_an_event_without_a_row_is_refused_with_the_problem_of_its_state() -> None:
    assert applied("give_back") == Refusal("transition-not-allowed", "the box is open; actions allowed now: take", ("take",))
    assert applied("take", "lost") == Refusal("gone", "the box is lost; actions allowed now: none", ())


def test_an_event_that_is_for_others_or_for_other_things_is_forbidden() -> None:
    assert applied("give_back", "taken").problem == "forbidden"
    assert applied("split").problem == "forbidden" and applied("split", thing="large") == {"state": "open"}


def test_a_guard_is_asked_before_the_effect_and_either_refusal_lists_what_is_open() -> None:
    assert applied("take", locked=True, empty=True) == Refusal("locked", "it is locked", ("take",))
    assert applied("take", empty=True) == Refusal("empty", "there is nothing", ("take",))
