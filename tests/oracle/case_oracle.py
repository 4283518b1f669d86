"""The slow oracle of the loop: what must hold between what people were answered (request_journal.py), what the log says happened
(log_history.py) and what reached the inboxes. Pure; every difference is a sentence that a person can act on.

It shares no code with the stages. Invariant: each check looks at one promise, and can fail (test_loop_oracle.py holds that).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from tests.oracle.log_history import Happened, Link, ms
from tests.oracle.request_journal import Ask, Book

WORDS = {"executed": "execute", "verified": "verify", "received": "deliver", "refused": "refuse", "failed": "fail"} | {
    "mismatch": "mismatch",
    "lifted": "lift",
}
LASTING = ("stop_payment", "freeze", "suspend_number", "block_domain", "block_app")
HOLDING = ("stop_payment", "freeze")
STANDING, ENDED = ("executed", "renewed"), ("released", "expired")
ENDS = {"order_released", "order_expired", "order_lift_required", "order_superseded"}
"""What tells a recipient that an order must be lifted, or not be carried out."""
IMPERSONATION = "impersonation"
"""What several cases may ask to tell: its id follows from what it says."""


def differences(book: Book, happened: Happened, *, until_ms: int) -> list[str]:
    """All of them. `until_ms`: what came due before then must have been applied."""
    return [
        *happened.wrong,
        *asked_once(book, happened),
        *effects(happened),
        *measures(book, happened),
        *orders(book, happened),
        *releases(book, happened),
        *notices(book, happened),
        *readers(book),
        *moments(happened, until_ms),
        *papers(book, happened),
    ]


def asked_once(book: Book, happened: Happened) -> Iterator[str]:
    """What was answered with success took effect once, what was refused never, and nothing was left without an answer."""
    groups: dict[Link, list[Ask]] = defaultdict(list)
    for ask in book.asks:
        if ask.status == 0:
            yield f"{ask.who} was never answered: {ask.path} {ask.body}"
        if ask.status == 500:
            yield f"{ask.who} was answered 500: {ask.path} {ask.body}"
        if (link := link_of(ask)) is not None:
            groups[link].append(ask)
    for link, asks in groups.items():
        done, found = sum(one.done for one in asks), happened.links[link]
        # A measure that the case knows already is answered from there.
        right = min(done, 1) <= found <= done if link[0] == "measure" else found == done
        if not right:
            keys = ", ".join(f"{one.key} {one.status} {one.answer.get('type', '')} after {one.tries}" for one in asks)
            yield f"{link}: {done} of {len(asks)} requests were answered with success, {found} took effect ({keys})"


def link_of(ask: Ask) -> Link | None:
    """As `happened.link_of`, from what was sent; None for what is no action of a case, or was never named by an answer."""
    parts, body = ask.path.strip("/").split("/"), ask.body
    if parts[1] == "queues":
        return ("claim", f"officer:{ask.who}", body["lease_s"])
    if parts[1] == "cases":
        return _of_case(ask, parts[2], body)
    who = f"{'officer' if ask.who.startswith('officer') else 'institution'}:{ask.who}"
    if parts[1] == "orders":
        return ("order", WORDS[body["result"]] if ask.move == "answers" else ask.move, ask.about, who)
    if parts[1] == "dissuasions" and ask.move == "attempts":
        kind = "succeed" if body["result"] == "convinced" else "attempt"
        return ("dissuasion", kind, ask.about, who, ms(body["done_at"]))
    if parts[1] == "dissuasions":
        return ("dissuasion", ask.move.replace("-", "_"), ask.about, who, 0)
    return None


def _of_case(ask: Ask, case_id: str, body: dict[str, Any]) -> Link | None:
    if ask.move == "orders":
        return ("order", body["basis"])
    if ask.move == "measures":
        return ("measure", ask.who, body["kind"], ms(body["done_at"]))
    if ask.move == "dissuasions":
        return ("dissuasion", "ask", ask.answer["dissuasion_id"]) if ask.done else None
    return ("move", ask.move.replace("-", "_"), case_id, f"officer:{ask.who}", body.get("revision"))


def effects(happened: Happened) -> Iterator[str]:
    """Each action took effect once, however often it stands in the log."""
    for action_id, times in happened.effects.items():
        if times != 1:
            yield f"the action {action_id} took effect {times} times"
    for order_id, order in happened.orders.items():
        if order.appeared != 1:
            yield f"the order {order_id} came into its case {order.appeared} times"
    for (case_id, measure_id), times in happened.measures.items():
        if times != 1:
            yield f"the measure {measure_id} came into case {case_id} {times} times"


def measures(book: Book, happened: Happened) -> Iterator[str]:
    """An acknowledged measure is in its case, or in the one that this was merged into, once."""
    for name, case_id in {(one.answer["measure_id"], one.answer["case_id"]) for one in book.asks if _is_measured(one)}:
        if not any(name in happened.cases[at]["measures"] for at in _lineage(happened, case_id)):
            yield f"the measure {name} was acknowledged and is not in case {case_id}"


def _is_measured(ask: Ask) -> bool:
    return ask.done and ask.move == "measures"


def _lineage(happened: Happened, case_id: str) -> Iterator[str]:
    at: str | None = case_id
    while at is not None and at in happened.cases:
        yield at
        at = happened.cases[at]["merged_into"]


def orders(book: Book, happened: Happened) -> Iterator[str]:
    """An issued order is in its case; an executed one held what was answered, once; a mismatch never held anything; nothing was
    paid back before its notice had run its time."""
    answers: dict[str, list[Ask]] = defaultdict(list)
    for ask in book.asks:
        if ask.done and ask.move == "answers":
            answers[ask.about].append(ask)
        elif ask.done and ask.move == "orders" and ask.answer["order_id"] not in happened.orders:
            yield f"the order {ask.answer['order_id']} was acknowledged to {ask.who} and never came into its case"
    lifted = {one["order_id"] for items in book.last.values() for one in items if one["template"] == "order_lift_required"}
    for order_id, order in happened.orders.items():
        said = {one.body["result"]: one for one in answers.get(order_id, ())}
        executed, state = said.get("executed"), order.now["state"]
        amount = int(executed.body["amount_minor"]) if executed and order.now["kind"] in HOLDING else 0
        crossed = state in ENDED and order_id in lifted  # carried out after its end: it holds nothing, and that was said
        right = [[0, amount]] if state in STANDING else [[0, amount, 0], *([[0]] if crossed else [])]
        if order.held not in (right if amount else [[0]]):
            yield f"the order {order_id} is {state} and held {order.held}; {amount} was answered"
        if state in STANDING and executed is None:
            yield f"the order {order_id} is {state}, and nobody answered that it was executed"
        if state in STANDING and ms(order.now["executed_at"]) < ms(order.now["public_notice_until"]):
            yield f"the order {order_id} was executed at {order.now['executed_at']}, before {order.now['public_notice_until']}"
        if "mismatch" in said and state != "refused":
            yield f"the order {order_id} did not match, and is {state}"


def releases(book: Book, happened: Happened) -> Iterator[str]:
    """A false alarm leaves nothing standing: whatever was executed has its release or its end, and the executor was told."""
    told: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for recipient, items in book.last.items():
        for one in items:
            if one["template"] in ENDS:
                told[str(one["related_order_id"] if one["template"] == "order_released" else one["order_id"])].add(
                    (recipient, one["template"])
                )
    for ask in book.asks:
        if not (ask.done and ask.move == "dispose" and ask.body["disposition"] == "false_positive"):
            continue
        for order in ask.answer.get("orders", ()):
            if order["kind"] in LASTING and order.get("executed_at") and not _told(order, told):
                yield f"{ask.about} was a false alarm, and {order['recipient']} was not told to lift {order['order_id']}"
    for case_id, case in happened.cases.items():
        if case["disposition"] != "false_positive" or case["status"] not in ("disposed", "closed"):
            continue
        released = {one["related_order_id"] for one in case["orders"].values() if one["kind"] == "release" and one["issued_at"]}
        for order_id, order in case["orders"].items():
            if order["kind"] in LASTING and order["state"] in STANDING and order_id not in released:
                yield f"{case_id} was a false alarm, and {order_id} stands without a release"


def _told(order: dict[str, Any], told: dict[str, set[tuple[str, str]]]) -> bool:
    return any(recipient == order["recipient"] for recipient, _ in told[order["order_id"]])


def notices(book: Book, happened: Happened) -> Iterator[str]:
    """Each notice that a change asks for was issued once, and stands in its recipient's inbox once; nothing else does. Several
    cases may ask to say that a number is impersonation: that stands there once, too."""
    there: Counter[tuple[str, str]] = Counter()
    for recipient, items in book.last.items():
        there.update((recipient, one["notification_id"]) for one in items)
    for at, sent in happened.notices.items():
        asked = len(sent) if sent[0].template == IMPERSONATION else 1
        if len(sent) != asked:
            yield f"the notice {at[1]} to {at[0]} was asked for {len(sent)} times: {', '.join(one.template for one in sent)}"
        if happened.issued[at] != asked:
            yield f"the notice {at[1]} ({sent[0].template}) to {at[0]} was issued {happened.issued[at]} times"
        if there[at] != 1:
            yield f"the notice {at[1]} ({sent[0].template}) is {there[at]} times in the inbox of {at[0]}"
    for recipient, name in there.keys() - happened.notices.keys():
        yield f"{recipient} has the notice {name}, which no change asked for"
    yield from _each_order(book, happened)


def _each_order(book: Book, happened: Happened) -> Iterator[str]:
    """By the order itself: its recipient, and nobody else, was told of it once."""
    first = ("order_issued", "order_released")
    told = Counter((one["order_id"], who) for who, items in book.last.items() for one in items if one["template"] in first)
    for order_id, order in happened.orders.items():
        expected = 1 if order.now["issued_at"] else 0
        if told.pop((order_id, order.now["recipient"]), 0) != expected:
            yield f"the order {order_id} did not reach {order.now['recipient']} just {expected} times"
    for order_id, who in told:
        yield f"{who} was told of the order {order_id}, which is not for it"


def readers(book: Book) -> Iterator[str]:
    """Whoever reads on with a cursor sees each notice once, in the order in which the inbox has them, and none is passed over."""
    for recipient, items in book.read.items():
        names = [one["notification_id"] for one in items]
        if names != (whole := [one["notification_id"] for one in book.last[recipient]])[: len(names)]:
            twice = [name for name, n in Counter(names).items() if n > 1]
            missed = [name for name in whole[: len(names)] if name not in set(names)]
            yield f"{recipient} read {len(names)} notices: {twice[:3]} more than once, {missed[:3]} never, or in another order"


def moments(happened: Happened, until_ms: int) -> Iterator[str]:
    """No moment of a clock was applied twice, and none that came due was forgotten."""
    for moment, times in happened.moments.items():
        if times != 1:
            yield f"{moment} was applied {times} times"
    for case_id, case in happened.cases.items():
        for (clock, run), (step, at) in case["deadlines"].items():
            if ms(at) < until_ms:
                yield f"{step} of {clock} {run} of {case_id} came due {until_ms - ms(at)} ms before the end and was never applied"


def papers(book: Book, happened: Happened) -> Iterator[str]:
    """What the coordination body and the units asked for of each other happened once."""
    for ask in book.asks:
        times = happened.papers[ask.body["document_number"]] if "document_number" in ask.body else 0
        if times != (ask.done and "document_number" in ask.body):
            yield f"{ask.who} was answered {ask.status} for {ask.body['document_number']}, which was taken {times} times"
