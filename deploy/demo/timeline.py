"""The case that the demo prints: one timeline (every party, its actions, every deadline, the proof of delivery), the money trail,
and the regulator's statistics. From the gateway's responses only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table


class Event(NamedTuple):
    """`at` is RFC 3339, so that events sort by it."""

    at: str
    who: str
    what: str


def events(case: dict[str, Any], deliveries: list[dict[str, Any]]) -> list[Event]:
    """Returns all events of the case in order of time."""
    parts = (_list_signals, _list_moves, _list_measures, _list_orders, _list_dissuasions, _list_appeals, _list_clocks)
    collected = [*chain.from_iterable(list_part(case) for list_part in parts), *_list_deliveries(deliveries)]
    return sorted(collected, key=lambda event: event.at)


def table(case: dict[str, Any], deliveries: list[dict[str, Any]]) -> Table:
    shown = Table(title=f"one case through the loop: {case['case_id']}", title_justify="left")
    for column in ("time (UTC)", "who", "what"):
        shown.add_column(column)
    for event in events(case, deliveries):
        shown.add_row(event.at[11:23].rstrip("Z"), escape(event.who), escape(event.what))
    shown.caption = f"phase {case['phase']}, {case.get('disposition') or 'not disposed of'}"
    shown.caption_justify = "left"
    return shown


def trail(money_trail: dict[str, Any]) -> Table:
    """Renders the money trail of the case and the amounts held."""
    shown = Table(title="its money trail", title_justify="left")
    for column in ("account", "arrived", "went on", "remaining", "held"):
        shown.add_column(column)
    for entry in money_trail["accounts"]:
        name = entry["account"].get("value") or entry["account"]["token"]
        sums = [entry[f"{what}_minor"] for what in ("received", "forwarded", "remaining", "held")]
        shown.add_row(escape(name), *map(_write_yuan, sums))
    shown.caption = f"{len(money_trail['hops'])} transfers were reported"
    shown.caption_justify = "left"
    return shown


_STATISTICS = ("reports", "confirmed", "false_positive", "warn_in_time", "report_in_time", "orders_in_time")
_HIDDEN = "few"


def statistics(card: dict[str, Any]) -> Table:
    """Renders the institutions' statistics of the period, without small counts, so that no case can be inferred."""
    shown = Table(title=f"statistics of institutions, {card['period']}", title_justify="left")
    for column in ("institution", *(name.replace("_", " ") for name in _STATISTICS), "stopped"):
        shown.add_column(column)
    for row in card["rows"]:
        counts, hidden = row["counts"], set(row["suppressed"])
        cells = [_HIDDEN if name in hidden else str(counts.get(name, 0)) for name in _STATISTICS]
        money = _HIDDEN if "stopped_minor" in hidden else _write_yuan(counts.get("stopped_minor", 0))
        shown.add_row(escape(row["party"]), *cells, money)
    shown.caption = f"{_HIDDEN}: from 1 to {card['threshold'] - 1}"
    shown.caption_justify = "left"
    return shown


def _list_signals(case: dict[str, Any]) -> Iterator[Event]:
    for signal in case.get("signals") or ():
        yield Event(signal["accepted_at"], signal["institution"], f"reports {signal['kind']}, score {signal['score']}")


def _list_moves(case: dict[str, Any]) -> Iterator[Event]:
    moves = {"acknowledged": "acknowledges (签收)", "disposed": f"disposes: {case.get('disposition')}", "closed": "closes"}
    for name, action in moves.items():
        if case.get(f"{name}_at"):
            yield Event(case[f"{name}_at"], f"officer:{case[f'{name}_by']}", action)


def _list_measures(case: dict[str, Any]) -> Iterator[Event]:
    for measure in case.get("measures") or ():
        late = "late" if measure.get("late") else None
        parts = [measure["kind"], measure.get("reaction"), measure.get("target"), _write_yuan(measure.get("amount_minor")), late]
        yield Event(measure["recorded_at"], measure["institution"], "measure: " + ", ".join(filter(None, parts)))


def _list_orders(case: dict[str, Any]) -> Iterator[Event]:
    for order in case.get("orders") or ():
        for moved in order["history"]:
            description = f"{order['kind']} for {order['recipient']} {_write_yuan(order.get('amount_minor'))}"
            yield Event(moved["at"], moved["actor"], f"{description}: {moved['event']} -> {moved['state']}")


def _list_dissuasions(case: dict[str, Any]) -> Iterator[Event]:
    for dissuasion in case.get("dissuasions") or ():
        parties = ", ".join(reach["party"] for reach in dissuasion.get("reachable_by") or ())
        yield Event(dissuasion["opened_at"], dissuasion["agency"], f"dissuasion (劝阻) asked of {parties}")
        for tried in dissuasion["attempts"]:
            yield Event(tried["at"], tried["party"], f"dissuasion by {tried['channel']}: {tried['result']}")


def _list_appeals(case: dict[str, Any]) -> Iterator[Event]:
    for appeal in case.get("appeals") or ():
        for name, who in (
            ("filed", appeal.get("through")),
            ("notice_given", appeal.get("through")),
            ("decided", f"officer:{appeal.get('decided_by')}"),
            ("released", case["queue"]),
            ("completed", ", ".join(appeal.get("confirmed_parties") or ())),
        ):
            if appeal.get(f"{name}_at"):
                yield Event(appeal[f"{name}_at"], str(who), f"appeal (申诉) {name}")


def _list_clocks(case: dict[str, Any]) -> Iterator[Event]:
    for clock in case.get("deadlines") or ():
        name = f"clock {clock['name']}" + (f" of {clock.get('about')}" if clock.get("about") else "")
        yield Event(clock["started_at"], clock.get("unit") or "clock", f"{name} runs until {clock['due_at'][:16]}Z")
        if clock.get("fired_at"):
            yield Event(clock.get("fired_at"), "timekeeper", f"{name} fell due")
        if clock.get("stopped_at"):
            late = {True: ", late", False: ", in time", None: ""}[clock.get("late")]
            yield Event(clock.get("stopped_at"), clock.get("unit") or "clock", f"{name} {clock['state']}{late}")


def _list_deliveries(deliveries: list[dict[str, Any]]) -> Iterator[Event]:
    for delivery in deliveries:
        state = delivery["delivery"]
        yield Event(state["sent_at"], "deliver", f"to {delivery['recipient']}: {delivery['en']}")
        for name in ("received", "acknowledged", "parked"):
            if state.get(name):
                yield Event(
                    state[name]["at"], delivery["recipient"], f"{name} by {state[name]['channel']}: {delivery['template']}"
                )


def _write_yuan(minor: int | None) -> str:
    return "" if minor is None else f"{minor / 100:,.2f} yuan"
