"""What happened in the loop, read from the bare records of the log in their order: which requests took effect and how often, each
moment of each clock, what each order held, whom which notice had to reach.

It shares no code with the stages and reads plain JSON; `unseal` opens what requests are told apart by. Invariant: only the first
record of each source counts; a change that only sends its request on to another case is not its effect.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

CASE_COMMANDS, CASE_CHANGES, NOTIFICATIONS = "cases.commands.v1", "cases.changed.v1", "notifications.issued.v1"
APPRAISAL_COMMANDS, APPRAISAL_CHANGES = "appraisals.commands.v1", "appraisals.changed.v1"
Link = tuple[str | int | None, ...]
"""What a request is known by in the book and in the log, without the name that the gateway gives it."""
Place = tuple[int, int]
Unseal = Callable[[str, str], str]
"""A sealed value and its context -> the value; ValueError when it does not open."""
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError)


def ms(text: str | None) -> int:
    """An instant in whole milliseconds, rounded up: a moment has not come before its last millisecond."""
    if text is None:
        return 0
    span = datetime.fromisoformat(text) - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return -(-((span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds) // 1000)


class Requested(NamedTuple):
    """A record of the actions. `due`: (clock, run, step) that it asks for."""

    at_ms: int
    link: Link
    due: tuple[str, int, str] | None


class Moment(NamedTuple):
    case_id: str
    clock: str
    run: int
    step: str


@dataclass
class OrderSeen:
    """An order as the changes of its case show it. `held`: all amounts that it held, one after the other; `now`: as it stands."""

    case_id: str
    now: dict[str, Any]
    appeared: int = 0
    held: list[int] = field(default_factory=lambda: [0])


class Sent(NamedTuple):
    """A notice that a change asks for."""

    template: str
    kind: str
    case_id: str
    order_id: str | None


@dataclass
class Happened:
    """Feed it all actions, then all changes, then all that was issued; each topic partition by partition, in order."""

    unseal: Unseal
    requested: dict[Place, Requested] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)
    links: Counter[Link] = field(default_factory=Counter)
    moments: Counter[Moment] = field(default_factory=Counter)
    orders: dict[str, OrderSeen] = field(default_factory=dict)
    measures: Counter[tuple[str, str]] = field(default_factory=Counter)
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    notices: dict[tuple[str, str], list[Sent]] = field(default_factory=lambda: defaultdict(list))
    issued: Counter[tuple[str, str]] = field(default_factory=Counter)
    papers: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _counted: set[Place] = field(default_factory=set)
    _told: set[tuple[int, int, int]] = field(default_factory=set)
    _overseen: set[tuple[int, int]] = field(default_factory=set)

    def action(self, partition: int, offset: int, at_ms: int, value: bytes | None) -> None:
        try:
            record = _record(value, CASE_COMMANDS)
            data = record["data"]
            due = data.get("due")
            asked = (due["deadline"], due["run"], due["step"]) if data["kind"] == "deadline_due" else None
            self.requested[partition, offset] = Requested(at_ms, link_of(data, record["actor"], self.unseal), asked)
        except _UNREADABLE:
            return

    def change(self, partition: int, offset: int, at_ms: int, value: bytes | None) -> None:
        source = _source(value, CASE_CHANGES, CASE_COMMANDS)
        if source is None or source[1] != partition or (partition, source[2]) in self._counted:
            return
        self._counted.add((partition, source[2]))
        data = source[0]["data"]
        self.outcomes[data["outcome"]] += 1
        if data["outcome"] != "applied":
            return
        for one in data.get("notifications") or ():
            about = Sent(one["template"], one["kind"], one["case_id"], one.get("order_id"))
            self.notices[one["recipient"], one["notification_id"]].append(about)
        before, after = self.cases.get(data["case_id"]), slim(data["case"])
        asked = self.requested.get((partition, source[2]))
        if not any(one["action_id"] == data["action_id"] for one in data.get("follow_ups") or ()):
            self._effect(data, asked, before)
        self._grown(data, before, after)
        self.cases[data["case_id"]] = after

    def issue(self, partition: int, offset: int, at_ms: int, value: bytes | None) -> None:
        source = _source(value, NOTIFICATIONS, CASE_CHANGES)
        if source is None or source[1:] in self._told:
            return
        self._told.add(source[1:])
        notice = source[0]["data"]["notification"]
        self.issued[notice["recipient"], notice["notification_id"]] += 1

    def oversee(self, partition: int, offset: int, at_ms: int, value: bytes | None) -> None:
        """What the coordination body asked for, by the number of its paper."""
        source = _source(value, APPRAISAL_CHANGES, APPRAISAL_COMMANDS)
        if source is None or source[1] != partition or (partition, source[2]) in self._overseen:
            return
        self._overseen.add((partition, source[2]))
        data = source[0]["data"]
        if data["outcome"] == "applied":
            record = data["data"]
            self.papers[record["submission_document_number"] or record["document_number"]] += 1

    def _effect(self, data: Mapping[str, Any], asked: Requested | None, before: dict[str, Any] | None) -> None:
        self.effects[data["action_id"]] += 1
        if asked is None:
            self.wrong.append(f"{data['action_id']} was applied, and no action that can be read asked for it")
            return
        self.links[asked.link] += 1
        if asked.due is None:
            return
        clock, run, step = asked.due
        moment = Moment(data["case_id"], clock, run, step)
        self.moments[moment] += 1
        standing = (before or {"deadlines": {}})["deadlines"].get((clock, run))
        if standing is None or standing[0] != step:
            self.wrong.append(f"{moment} was applied, and the case's clock stood at {standing and standing[0]}")
        elif asked.at_ms < ms(standing[1]):
            self.wrong.append(f"{moment} fired {ms(standing[1]) - asked.at_ms} ms before its time")

    def _grown(self, data: Mapping[str, Any], before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        """What the change added to the case."""
        name, revision = data["case_id"], before["revision"] if before else 0
        if after["revision"] != revision + 1:
            self.wrong.append(f"case {name} went from revision {revision} to {after['revision']}")
        if data["kind"] != "absorb":
            for one in after["measures"] - (before["measures"] if before else frozenset()):
                self.measures[name, one] += 1
        known = before["orders"] if before else {}
        for order_id, order in after["orders"].items():
            seen = self.orders.setdefault(order_id, OrderSeen(name, order))
            seen.appeared += order_id not in known
            seen.now = order
            if order["held_minor"] != seen.held[-1]:
                seen.held.append(order["held_minor"])


_ORDER = (
    "kind",
    "state",
    "related_order_id",
    "recipient",
    "held_minor",
    "executed_at",
    "issued_at",
    "lifted_at",
    "public_notice_until",
)
_PLAIN = ("revision", "status", "queue", "disposition", "signal_count", "merged_into", "split_from", "reopen_count")


def slim(case: Mapping[str, Any]) -> dict[str, Any]:
    """What is looked at of a case. Deadlines: (name, run) -> (the next step, when)."""
    return {
        **{name: case.get(name) for name in _PLAIN},
        "signals": tuple(f"{one['signal_id']}/{one.get('version', 1)}" for one in case["signals"]),
        "deadlines": {(one["name"], one["run"]): (one["step"], one["next_at"]) for one in case["deadlines"] if one["next_at"]},
        "orders": {one["order_id"]: {name: one.get(name) for name in _ORDER} for one in case["orders"]},
        "measures": frozenset(one["measure_id"] for one in case["measures"]),
    }


def link_of(data: Mapping[str, Any], actor: str, unseal: Unseal) -> Link:
    """By what the request says itself."""
    kind = data["kind"]
    if kind == "order":
        event = data["order"]
        if event["kind"] == "issue":
            draft = event["draft"]
            return ("order", unseal(draft["basis_sealed"], f"{event['order_id']}/basis"))
        return ("order", event["kind"], event["order_id"], actor)
    if kind == "measure":
        one = data["measure"]
        return ("measure", one["institution"], one["kind"], ms(one["done_at"]))
    if kind == "dissuasion":
        event = data["dissuasion"]
        if event["kind"] == "ask":
            return ("dissuasion", "ask", event["dissuasion_id"])
        return ("dissuasion", event["kind"], event["dissuasion_id"], actor, ms((event.get("attempt") or {}).get("done_at")))
    if kind == "claim" and data.get("lease_s"):
        return ("claim", actor, data["lease_s"])
    return ("move", kind, data["case_id"], actor, data.get("revision"))


def _record(value: bytes | None, topic: str) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads(value or b"")
    if record["type"] != f"cn.liandong.{topic}":
        raise ValueError("of another topic")
    return record


def _source(value: bytes | None, topic: str, of: str) -> tuple[dict[str, Any], int, int, int] | None:
    """The record and its source: partition, offset, number. None: nobody's fact."""
    try:
        record = _record(value, topic)
        named, partition, offset, number = record["origin"].rsplit("/", 3)
        if named != of:
            return None
        return record, int(partition), int(offset), int(number)
    except _UNREADABLE:
        return None
