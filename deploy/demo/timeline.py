"""What the demo shows of the loop: one case's timeline (every party, what it did, every clock, the proof of delivery of what was
told), where its money went, and the regulator's statistics. From the gateway's answers; nothing is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table


class Event(NamedTuple):
    """`at` is RFC 3339, so that events sort by it."""

    at: str
    who: str
    what: str


def events(case: dict[str, Any], deliveries: list[dict[str, Any]]) -> list[Event]:
    """All that is known of the case, in order of time."""
    found = [*_signals(case), *_officers(case), *_measures(case), *_orders(case), *_tasks(case), *_objections(case)]
    found += [*_clocks(case), *_deliveries(deliveries)]
    return sorted(found, key=lambda one: one.at)


def table(case: dict[str, Any], deliveries: list[dict[str, Any]]) -> Table:
    shown = Table(title=f"one case through the loop: {case['case_id']}", title_justify="left")
    for column in ("time (UTC)", "who", "what"):
        shown.add_column(column)
    for one in events(case, deliveries):
        shown.add_row(one.at[11:23].rstrip("Z"), escape(one.who), escape(one.what))
    shown.caption = f"phase {case['phase']}, {case.get('disposition') or 'not disposed of'}"
    shown.caption_justify = "left"
    return shown


def trail(told: dict[str, Any]) -> Table:
    """Where the money of the case went, and what of it is held."""
    shown = Table(title="its money trail", title_justify="left")
    for column in ("account", "arrived", "went on", "remaining", "held"):
        shown.add_column(column)
    for one in told["accounts"]:
        name = one["account"].get("value") or one["account"]["token"]
        sums = [one[f"{what}_minor"] for what in ("arrived", "went_on", "remaining", "held")]
        shown.add_row(escape(name), *map(_yuan, sums))
    shown.caption = f"{len(told['hops'])} transfers were reported"
    shown.caption_justify = "left"
    return shown


_STATISTICS = ("reports", "confirmed", "false_positive", "warn_in_time", "report_in_time", "orders_in_time")
_HIDDEN = "few"


def statistics(card: dict[str, Any]) -> Table:
    """The institutions' statistics of the period: what is small is not told, so that no case can be made out."""
    shown = Table(title=f"statistics of institutions, {card['period']}", title_justify="left")
    for column in ("institution", *(name.replace("_", " ") for name in _STATISTICS), "stopped"):
        shown.add_column(column)
    for row in card["rows"]:
        counts, hidden = row["counts"], set(row["hidden"])
        told = [_HIDDEN if name in hidden else str(counts.get(name, 0)) for name in _STATISTICS]
        money = _HIDDEN if "stopped_minor" in hidden else _yuan(counts.get("stopped_minor", 0))
        shown.add_row(escape(row["party"]), *told, money)
    shown.caption = f"{_HIDDEN}: from 1 to {card['threshold'] - 1}"
    shown.caption_justify = "left"
    return shown


def _signals(case: dict[str, Any]) -> Iterator[Event]:
    for one in case.get("signals") or ():
        yield Event(one["accepted_at"], one["institution"], f"reports {one['kind']}, score {one['score']}")


def _officers(case: dict[str, Any]) -> Iterator[Event]:
    moves = {"acknowledged": "acknowledges (签收)", "disposed": f"disposes: {case.get('disposition')}", "closed": "closes"}
    for name, said in moves.items():
        if case.get(f"{name}_at"):
            yield Event(case[f"{name}_at"], f"officer:{case[f'{name}_by']}", said)


def _measures(case: dict[str, Any]) -> Iterator[Event]:
    for one in case.get("measures") or ():
        late = "late" if one.get("late") else None
        said = [one["kind"], one.get("reaction"), one.get("what"), _yuan(one.get("amount_minor")), late]
        yield Event(one["at"], one["institution"], "measure: " + ", ".join(filter(None, said)))


def _orders(case: dict[str, Any]) -> Iterator[Event]:
    for one in case.get("orders") or ():
        for moved in one["history"]:
            said = f"{one['kind']} for {one['recipient']} {_yuan(one.get('amount_minor'))}: {moved['event']} -> {moved['state']}"
            yield Event(moved["at"], moved["actor"], said)


def _tasks(case: dict[str, Any]) -> Iterator[Event]:
    for one in case.get("tasks") or ():
        asked = ", ".join(reach["party"] for reach in one.get("reach") or ())
        yield Event(one["opened_at"], one["agency"], f"dissuasion (劝阻) asked of {asked}")
        for tried in one["attempts"]:
            yield Event(tried["at"], tried["party"], f"dissuasion by {tried['channel']}: {tried['result']}")


def _objections(case: dict[str, Any]) -> Iterator[Event]:
    for one in case.get("objections") or ():
        for name, who in (
            ("lodged", one.get("through")),
            ("noticed", one.get("through")),
            ("decided", f"officer:{one.get('decided_by')}"),
            ("released", case["queue"]),
            ("propagated", ", ".join(one.get("confirmed") or ())),
        ):
            if one.get(f"{name}_at"):
                yield Event(one[f"{name}_at"], str(who), f"objection (申诉) {name}")


def _clocks(case: dict[str, Any]) -> Iterator[Event]:
    for one in case.get("clocks") or ():
        name = f"clock {one['name']}" + (f" of {one.get('about')}" if one.get("about") else "")
        yield Event(one["started_at"], one.get("unit") or "clock", f"{name} runs until {one['due_at'][:16]}Z")
        if one.get("fired_at"):
            yield Event(one.get("fired_at"), "timekeeper", f"{name} fell due")
        if one.get("stopped_at"):
            late = {True: ", late", False: ", in time", None: ""}[one.get("late")]
            yield Event(one.get("stopped_at"), one.get("unit") or "clock", f"{name} {one['state']}{late}")


def _deliveries(deliveries: list[dict[str, Any]]) -> Iterator[Event]:
    for one in deliveries:
        state = one["delivery"]
        yield Event(state["sent_at"], "deliver", f"to {one['recipient']}: {one['en']}")
        for name in ("received", "acknowledged", "parked"):
            if state.get(name):
                yield Event(state[name]["at"], one["recipient"], f"{name} by {state[name]['way']}: {one['says']}")


def _yuan(minor: int | None) -> str:
    return "" if minor is None else f"{minor / 100:,.2f} yuan"
