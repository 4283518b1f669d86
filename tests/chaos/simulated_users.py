"""The two sides of the loop while things break: officers who take cases, order, ask, transfer, merge, split and dispose, and
institutions that measure, read their inboxes and answer.

Invariant: each knows the system by its answers and its inbox alone, as people do; everything that they ask goes through the book.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from deploy.demo.generate import INSTITUTIONS
from deploy.demo.values import MAKERS
from tests.chaos.client import Person, quoted
from tests.oracle.request_journal import Bookkeeper

Item = dict[str, Any]
QUEUES = [f"public-security-{code}" for code in ("630200", "630202", "630203", "630222", "630223", "630224", "630225")] + [
    "financial-regulator-630200"
]
BANKS = tuple(one for one in INSTITUTIONS if not one.startswith("telecom"))
TELECOMS = tuple(one for one in INSTITUTIONS if one.startswith("telecom"))
FIELDS = ("name", "account", "amount", "time")
FOUR_EYES_MINOR = 30_000_000
ENDS = ("false_positive", "false_positive", "confirmed", "insufficient")
PAUSE_S = 0.05
ACKNOWLEDGED = 0.02
"""Of the notices that are read, so many are acknowledged by themselves."""
WAIT_S = 0.3
"""An institution's long poll. Short, for one thread serves several."""


def now() -> str:
    return datetime.now(UTC).isoformat()


class Talk:
    """What officers let institutions know outside of the system: which case a signal of theirs is in."""

    def __init__(self) -> None:
        self.cases: queue.Queue[tuple[str, str]] = queue.Queue(maxsize=200)

    def tell(self, case: Item) -> None:
        for one in (case.get("signals") or ())[:2]:
            if not self.cases.full():
                self.cases.put((one["institution"], case["case_id"]))


class Worker:
    """One thread. `work` until it is told to stop; `acted` counts what was answered with success."""

    def __init__(
        self, url: str, mint: Callable[..., str], book: Bookkeeper, stopping: threading.Event, talk: Talk, *, seed: int
    ) -> None:
        self._rng = random.Random(seed)
        self._person = Person(url, mint, book, self._rng)
        self._book, self._stopping, self._talk = book, stopping, talk
        self.acted = 0

    def work(self) -> None:
        raise NotImplementedError

    def _post(self, who: str, path: str, **body: Any) -> Item | None:
        """The answer; None when it was refused."""
        told = self._person.post(who, path, **body)
        self.acted += told.done
        return told.said if told.done else None


class Officer(Worker):
    """Takes the worst case of a queue and goes one of the ways through it."""

    def __init__(self, *args: Any, name: str, seed: int) -> None:
        super().__init__(*args, seed=seed)
        self._name, self._leases = name, 1000
        self._ways: dict[Callable[[Item], None], int] = {
            self._stop: 30,
            self._freeze: 16,
            self._suspend: 16,
            self._dissuade: 8,
            self._transfer: 5,
            self._merge: 15,
            self._split: 20,
            self._let_go: 5,
        }

    def work(self) -> None:
        while not self._stopping.is_set():
            self._leases += 1  # a number of its own, so that each claim can be told from all others
            case = self._post(self._name, f"/v1/queues/{self._rng.choice(QUEUES)}/next", lease_s=self._leases)
            if case is not None and "case_id" in case:
                self._talk.tell(case)
                (way,) = self._rng.choices(list(self._ways), list(self._ways.values()))
                way(case)
            time.sleep(PAUSE_S)

    def _order(self, case: Item, kind: str, recipient: str, subject: Item, **more: Any) -> Item | None:
        basis = f"chaos {self._name} {self._rng.getrandbits(60):x}"
        body = {"kind": kind, "recipient": recipient, "subject": subject, "basis": basis, **more}
        return self._post(self._name, f"/v1/cases/{case['case_id']}/orders", **body)

    def _named(self, *kinds: str) -> Item:
        kind = self._rng.choice(kinds)
        return {"kind": kind, "value": MAKERS[kind](self._rng)}

    def _stop(self, case: Item) -> None:
        subject, minor = self._named("account", "card"), self._rng.randrange(10_000, 4_000_000)
        verify = {"name": "李某", "account": subject["value"], "amount": _money(minor), "occurred_at": now()}
        order = self._order(case, "stop_payment", self._rng.choice(BANKS), subject, amount=_money(minor - 100), verify=verify)
        if order is not None and self._rng.random() < 0.25:
            time.sleep(self._rng.uniform(1, 2))
            self._post(self._name, f"/v1/orders/{order['order_id']}/renew")
        self._end(case)

    def _freeze(self, case: Item) -> None:
        minor = FOUR_EYES_MINOR + self._rng.randrange(1000)
        bounds = {"amount": _money(minor), "traced_minor": minor}
        order = self._order(case, "freeze", self._rng.choice(BANKS), self._named("account"), **bounds)
        if order is not None:
            second = self._name if self._rng.random() < 0.1 else f"{self._name}-b"  # who asked must not agree
            self._post(second, f"/v1/orders/{order['order_id']}/approve")
        self._end(case)

    def _suspend(self, case: Item) -> None:
        self._order(case, "suspend_number", self._rng.choice(TELECOMS), self._named("phone"))
        self._end(case)

    def _dissuade(self, case: Item) -> None:
        reach = [{"party": one, "party_type": "bank"} for one in self._rng.sample(BANKS, 2)]
        self._post(self._name, f"/v1/cases/{case['case_id']}/dissuasions", person=self._named("phone"), reachable_by=reach)
        self._end(case)

    def _transfer(self, case: Item) -> None:
        to = self._rng.choice([one for one in QUEUES if one != case["queue"]])
        self._move(case, "transfer", queue=to)

    def _merge(self, case: Item) -> None:
        """Into another of the queue, of which the lower id stays."""
        others = self._person.get(self._name, f"/v1/queues/{case['queue']}/cases", limit=20).said.get("cases", ())
        lower = [one["case_id"] for one in others if one["case_id"] < case["case_id"]]
        if lower:
            self._move(case, "merge", into_case_id=self._rng.choice(lower))

    def _split(self, case: Item) -> None:
        names = list(dict.fromkeys(one["signal_id"] for one in case.get("signals") or ()))
        if len(names) > 1:
            self._move(case, "split", signals=names[:1])

    def _let_go(self, case: Item) -> None:
        self._move(case, self._rng.choice(("release", "renew", "hand-over")))

    def _end(self, case: Item) -> None:
        """Disposes after a while, in which the institution may have answered, or not yet."""
        time.sleep(self._rng.choice((0.0, 1.0, 3.0, 5.0)))
        disposed = self._move(case, "dispose", disposition=self._rng.choice(ENDS))
        if disposed is not None and self._rng.random() < 0.3:
            if self._rng.random() < 0.5:
                self._move(disposed, "reopen", note="again")
            else:
                self._move(disposed, "close")

    def _move(self, case: Item, move: str, **body: Any) -> Item | None:
        """By the revision that the case has now; whoever is overtaken reads it again."""
        place = f"/v1/cases/{case['case_id']}"
        if move == "hand-over":
            body["to_officer"] = f"officer-{self._rng.randrange(9)}"
        for _ in range(3):
            found = self._person.get(self._name, place)
            if not found.done:
                time.sleep(PAUSE_S)
                continue
            answer = self._person.post(self._name, f"{place}/{move}", revision=found.said["revision"], **body)
            self.acted += answer.done
            if answer.done:
                return answer.said
            if answer.problem != "stale-revision":
                return None
        return None


class Institutions(Worker):
    """Some institutions: each reads its inbox with a cursor, answers what is asked of it, and tells what it did by itself."""

    def __init__(self, *args: Any, names: Sequence[str], seed: int) -> None:
        super().__init__(*args, seed=seed)
        self._names, self._after, self._numbers = names, dict[str, str](), 0

    def work(self) -> None:
        while not self._stopping.is_set():
            for name in self._names:
                self._read(name, self._answer)
                if self._stopping.is_set():
                    return
            self._measure()

    def _read(self, recipient: str, act: Callable[[str, Item], None], who: str | None = None, **query: str) -> None:
        """A page behind the last one. It counts as read once it is in the book."""
        cursor = {"after": self._after[recipient]} if recipient in self._after else {}
        told = self._person.get(who or recipient, "/v1/inbox", wait_s=WAIT_S, limit=50, **cursor, **query)
        if not told.done:
            time.sleep(PAUSE_S)
            return
        self._book.read(recipient, told.said["items"])
        if told.said.get("next_cursor"):
            self._after[recipient] = told.said["next_cursor"]
        for item in told.said["items"]:
            if self._stopping.is_set():
                return
            act(recipient, item)
            if self._rng.random() < ACKNOWLEDGED:
                self._post(who or recipient, f"/v1/inbox/{quoted(item['notification_id'])}/acknowledge{_asked(query)}")

    def _answer(self, name: str, item: Item) -> None:
        order, says = item.get("order") or {}, item["template"]
        if says == "order_issued":
            self._carry_out(name, order)
        elif says == "order_released":
            self._say(name, order, "executed")
        elif says in ("order_expired", "order_lift_required", "order_superseded") and self._rng.random() < 0.7:
            self._say(name, order, "lifted")
        elif says == "dissuasion_requested":
            self._dissuade(name, item["dissuasion"]["dissuasion_id"])

    def _carry_out(self, name: str, order: Item) -> None:
        """Most orders are carried out; some do not match, are refused, cannot be done, or are forgotten."""
        draw, checked = self._rng.random(), order.get("verify") or {}
        if draw < 0.05:
            return
        if draw < 0.12:
            self._say(name, order, "refused", reason="not_our_customer")
        elif draw < 0.17:
            self._say(name, order, "failed", reason="technical")
        elif checked and draw < 0.30:
            self._say(name, order, "mismatch", mismatched_fields=["name"])
        else:
            if checked:
                self._say(name, order, "verified", verified_fields=FIELDS)
            held = {"amount_minor": order["amount_minor"] - self._rng.randrange(100)} if order.get("amount_minor") else {}
            self._say(name, order, "executed", records_kept=True, **held)
            if self._rng.random() < 0.1:  # said twice, as if it were another time
                self._say(name, order, "executed", records_kept=True, **held)

    def _say(self, name: str, order: Item, result: str, **more: Any) -> None:
        self._post(name, f"/v1/orders/{order['order_id']}/answers", result=result, **more)

    def _dissuade(self, name: str, dissuasion_id: str) -> None:
        if self._rng.random() < 0.7:
            self._post(name, f"/v1/dissuasions/{dissuasion_id}/take")
        for result in ("not_reached", self._rng.choice(("convinced", "hung_up"))):
            said = {"channel": "call", "caller": "客户经理", "conversation": "这是骗局", "done_at": now(), "result": result}
            self._post(name, f"/v1/dissuasions/{dissuasion_id}/attempts", **said)

    def _measure(self) -> None:
        """What was done about a case that it was told of: now and then the same is told twice."""
        for _ in range(3):
            try:
                name, case_id = self._talk.cases.get_nowait()
            except queue.Empty:
                return
            self._numbers += 1
            body = {"reference": f"m-{self._rng.getrandbits(60):x}", "done_at": now(), **self._rng.choice(_DONE)}
            for _ in range(1 + (self._rng.random() < 0.2)):
                self._post(name, f"/v1/cases/{case_id}/measures", **body)


_DONE: tuple[Item, ...] = (
    {"kind": "warned", "channel": "call", "reaction": "insisted"},
    {"kind": "reported", "reported_to": "public-security-630200"},
    {"kind": "blocked", "target": "account"},
)


class Units(Institutions):
    """Those who read the inboxes of queues: a unit's officer on duty."""

    def __init__(self, *args: Any, seed: int) -> None:
        super().__init__(*args, names=QUEUES, seed=seed)

    def work(self) -> None:
        while not self._stopping.is_set():
            for name in self._names:
                self._read(name, lambda recipient, item: None, who="officer-duty", inbox=name)
                if self._stopping.is_set():
                    return


class Body(Worker):
    """The coordination body asks units for data, and they hand them in."""

    def work(self) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            unit = self._rng.choice(QUEUES)
            wanted = {"unit": unit, "due_at": "2099-01-01T00:00:00Z", "document_number": f"chaos-{number}"}
            asked = self._post("coordinator-1", "/v1/data-requests", **wanted)
            if asked is not None and self._rng.random() < 0.7:
                self._post("officer-duty", f"/v1/data-requests/{asked['request_id']}/submit", document_number=f"answer-{number}")
            self._stopping.wait(0.5)


def _asked(query: dict[str, str]) -> str:
    return f"?{urlencode(query)}" if query else ""


def _money(minor: int) -> Item:
    return {"minor": minor, "currency": "CNY"}
