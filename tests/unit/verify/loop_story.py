"""One case from its first signal to its closing release, as the log and the book of its people tell it; tests make it lie.

A false alarm: claimed, measured, a stop of 1,000 that was verified and executed with 900, a second one that did not match, a
warning whose clock ran out, released.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import orjson

from tests.oracle.log_history import APPRAISAL_CHANGES, APPRAISAL_COMMANDS, CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS, Happened
from tests.oracle.request_journal import Ask, Book
from tests.support.builders import SEALER

CASE, BANK, OFFICER = "case-1", "bank-001", "officer-0"
T0_MS = 1_772_000_000_000
Record = dict[str, Any]


def at(second: float) -> str:
    return datetime.fromtimestamp(T0_MS / 1000 + second, UTC).isoformat()


class Story:
    """`actions`, `changes` and `issued` are the log, `book` what people noted; `told` reads the log anew."""

    def __init__(self) -> None:
        self.actions: list[Record] = []
        self.changes: list[Record] = []
        self.issued: list[Record] = []
        self.overseen: list[Record] = []
        self.book = Book()
        self._case: Record = {
            "case_id": CASE,
            "revision": 0,
            "status": "open",
            "queue": "q",
            "disposition": None,
            "signal_count": 1,
            "merged_into": None,
            "split_from": None,
            "reopen_count": 0,
            "signals": [{"signal_id": "sig-1"}],
            "deadlines": [],
            "orders": [],
            "measures": [],
        }

    def happened(self) -> Happened:
        found = Happened(SEALER.unseal)
        takers = (
            (self.actions, found.action),
            (self.changes, found.change),
            (self.issued, found.issue),
            (self.overseen, found.oversee),
        )
        for records, take in takers:
            for offset, one in enumerate(records):
                take(0, offset, T0_MS + int(one["second"] * 1000), orjson.dumps(one["value"]))
        return found

    def happens(
        self, kind: str, second: float, actor: str, *, notices: tuple[Record, ...] = (), case: Record | None = None, **more: Any
    ) -> None:
        """An action that is applied: the case's new members are `case`."""
        source, name = len(self.actions), f"act-{len(self.actions)}"
        action = {"action_id": name, "case_id": CASE, "kind": kind, **more}
        self.actions.append({"second": second, "value": envelope(CASE_COMMANDS, action, None, actor)})
        self._case = {**deepcopy(self._case), **(case or {}), "revision": self._case["revision"] + 1}
        told = [{"notification_id": f"{name}/{n}", "case_id": CASE, "kind": "order", **one} for n, one in enumerate(notices)]
        data = {
            "action_id": name,
            "case_id": CASE,
            "kind": kind,
            "outcome": "applied",
            "case": self._case,
            "notifications": told,
            "follow_ups": [],
        }
        self.changes.append({"second": second, "value": envelope(CASE_CHANGES, data, f"{CASE_COMMANDS}/0/{source}/0", actor)})
        for n, one in enumerate(told):
            self.issued.append(
                {
                    "second": second,
                    "value": envelope(NOTIFICATIONS, {"notification": one}, f"{CASE_CHANGES}/0/{len(self.changes) - 1}/{n}", "s"),
                }
            )
            about = next((order for order in self._case["orders"] if order["order_id"] == one.get("order_id")), {})
            item = {
                **one,
                "order_id": one.get("order_id"),
                "order_kind": about.get("kind"),
                "related_order_id": about.get("related_order_id"),
            }
            self.book.read[one["recipient"]].append(item)
            self.book.last[one["recipient"]].append(item)

    def asked(self, who: str, path: str, status: int = 200, answer: Record | None = None, **body: Any) -> Ask:
        ask = Ask(who, path, f"ask-{len(self.book.asks)}", body, status, answer or {}, 1)
        self.book.asks.append(ask)
        return ask

    def orders(self, **states: Record) -> Record:
        """The case's orders, those that are named changed."""
        known = {one["order_id"]: one for one in deepcopy(self._case["orders"])}
        for name, changes in states.items():
            empty = {
                "order_id": name,
                "kind": "stop_payment",
                "state": "issued",
                "recipient": BANK,
                "held_minor": 0,
                "issued_at": at(2),
            }
            known[name] = {**known.get(name, empty), **changes}
        return {"orders": list(known.values())}


def envelope(topic: str, data: Record, origin: str | None, actor: str) -> Record:
    return {"type": f"cn.liandong.{topic}", "actor": actor, "origin": origin, "data": data}


def told_of(order_id: str, says: str, **more: Any) -> Record:
    return {"recipient": BANK, "template": says, "order_id": order_id, **more}


def false_alarm() -> Story:
    story = Story()
    bank, officer = f"institution:{BANK}", f"officer:{OFFICER}"
    warn = {"name": "warn", "run": 1, "step": "due", "next_at": at(5)}
    story.happens("join", 0, "stage:assess", case={"deadlines": [warn]}, revision=None)
    story.happens("claim", 1, officer, lease_s=1001, case={"status": "claimed"}, revision=None)
    story.asked(OFFICER, "/v1/queues/q/next", answer={"case_id": CASE}, lease_s=1001)
    for name in ("o1", "o2"):
        basis = SEALER.seal(f"basis {name}", f"{name}/basis")
        issue = {"kind": "issue", "order_id": name, "draft": {"order_id": name, "basis_sealed": basis}}
        story.happens("order", 2, officer, order=issue, case=story.orders(**{name: {}}), notices=(told_of(name, "order_issued"),))
        story.asked(OFFICER, f"/v1/cases/{CASE}/orders", answer={"order_id": name}, basis=f"basis {name}")
    for name, kind, result, now in (
        ("o1", "verify", "verified", {"state": "verified"}),
        ("o1", "execute", "executed", {"state": "executed", "held_minor": 900, "executed_at": at(3)}),
        ("o2", "mismatch", "mismatch", {"state": "refused"}),
    ):
        story.happens("order", 3, bank, order={"kind": kind, "order_id": name}, case=story.orders(**{name: now}))
        more = {"amount_minor": 900} if result == "executed" else {}
        story.asked(BANK, f"/v1/orders/{name}/answers", answer={"state": now["state"]}, result=result, **more)
    measure = {"institution": BANK, "kind": "warned", "done_at": at(3)}
    story.happens("measure", 4, bank, measure=measure, case={"measures": [{"measure_id": "msr-1"}]})
    said = {"measure_id": "msr-1", "case_id": CASE}
    story.asked(BANK, f"/v1/cases/{CASE}/measures", answer=said, kind="warned", done_at=at(3))
    story.happens(
        "deadline_due", 5.5, "stage:timekeeper", due={"deadline": "warn", "run": 1, "step": "due"}, case={"deadlines": []}
    )
    _released(story, bank, officer)
    return story


def _released(story: Story, bank: str, officer: str) -> None:
    release = {"kind": "release", "related_order_id": "o1", "state": "issued"}
    ended = {"status": "disposed", "disposition": "false_positive", **story.orders(r1=release)}
    story.happens("dispose", 6, officer, revision=9, case=ended, notices=(told_of("r1", "order_released", kind="release"),))
    told = {"orders": [{"order_id": "o1", "kind": "stop_payment", "recipient": BANK, "state": "executed", "executed_at": at(3)}]}
    story.asked(OFFICER, f"/v1/cases/{CASE}/dispose", answer=told, revision=9, disposition="false_positive")
    lifted = story.orders(r1={"state": "executed"}, o1={"state": "released", "held_minor": 0, "lifted_at": at(7)})
    story.happens("order", 7, bank, order={"kind": "execute", "order_id": "r1"}, case=lifted)
    story.asked(BANK, "/v1/orders/r1/answers", answer={"state": "executed"}, result="executed")
    paper = {"outcome": "applied", "data": {"document_number": "chaos-1", "submission_document_number": None}}
    story.overseen.append(
        {"second": 8, "value": envelope(APPRAISAL_CHANGES, paper, f"{APPRAISAL_COMMANDS}/0/0/0", "officer:coordinator-1")}
    )
    story.asked("coordinator-1", "/v1/data-requests", answer={"request_id": "dat-1"}, document_number="chaos-1")
