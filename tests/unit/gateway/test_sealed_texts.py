"""What people type freely stands in no record of the log: not in what a gateway writes, nor in what the stages make of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.commands.sealing import Protector
from gateway.inbox.responses import item_out
from gateway.services import Services
from schemas.cases.case import Action, ActionKind
from schemas.codec import decode
from schemas.measures import ReportedIn
from schemas.orders.order import OrderEvent, OrderEventKind
from schemas.orders.requests import OrderIn
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS, SUBMITTED, TOPICS
from stream_processors.state.compression import Form, unpack
from stream_processors.views.inbox import Delivery, Entry
from tests.support.builders import action_record, move
from tests.support.world import World
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import T0, FakeLog, FakeViews, signal
from tests.unit.gateway.loop import HELD, STOP, WARNED, put

MARK = "ZHANG-SAN-13900001111"
"""Stands in every text that is typed here."""
REPORTED = {"kind": "reported", "reference": f"m-{MARK}", "done_at": "2026-03-02T00:59:00Z", "note": MARK}
REPORTED |= {"reported_to": "public-security-630202", "agency_reference": f"n-{MARK}"}
_PACKED = {bytes((form,)) for form in Form}


def _values(kept: Any) -> Iterator[bytes]:
    """Every name and value that lies in a Redis, unpacked."""
    if isinstance(kept, dict):
        for name, value in kept.items():
            yield from _values(name)
            yield from _values(value)
    elif isinstance(kept, list | tuple | set):
        for value in kept:
            yield from _values(value)
    else:
        yield unpack(kept) if isinstance(kept, bytes) and kept[:1] in _PACKED else str(kept).encode()


async def test_what_is_typed_stands_in_no_record_that_a_gateway_writes(
    client: Client, services: Services, log: FakeLog, views: FakeViews
):
    put(services, **HELD)
    officer, bank = client("officer-1"), client("bank-001")
    keyed = {"idempotency-key": f"k-{MARK}"}
    order = {**STOP, "basis": f"b {MARK}", "text": MARK, "verify": {**STOP["verify"], "name": MARK}}
    asked: list[tuple[Any, str, dict[str, Any], dict[str, str]]] = [
        (bank, "/v1/signals", signal(f"r-{MARK}", narrative=MARK), {}),
        (bank, "/v1/signals", signal(None, region="630203"), keyed),
        (bank, "/v1/retractions", {"reference": f"r-{MARK}", "reason": MARK}, {}),
        (bank, "/v1/cases/case-1/measures", {**WARNED, "reference": MARK, "note": MARK}, keyed),
        (bank, "/v1/cases/case-1/measures", REPORTED, {}),
        (officer, "/v1/cases/case-1/orders", order, keyed),
        (bank, "/v1/cases/case-1/appeals", {"text": MARK}, {}),
        (officer, "/v1/cases/case-1/dispose", {"disposition": "false_positive", "note": MARK}, {}),
    ]
    for who, path, body, headers in asked:
        if path.endswith("dispose"):
            body["revision"] = views.cases["case-1"].revision
        answer = await who.post(path, json=body, headers=headers)
        assert answer.status_code in (200, 201, 202), (path, answer.text)
    written = [entry for entries in log.records.values() for entry in entries]
    assert len(written) == len(asked)
    assert not [entry for entry in written if MARK.encode() in entry.key + entry.value]


async def test_what_is_typed_stands_nowhere_in_what_the_stages_make_of_it(client: Client, services: Services, log: FakeLog):
    for who in ("bank-001", "bank-002"):
        assert (await client(who).post("/v1/signals", json=signal(f"r-{MARK}", narrative=MARK))).status_code == 202
    world = await World().up()
    for entry in log.all(SUBMITTED):
        world.submit(entry.key, entry.value, SUBMITTED)
    await world.drain()
    case = decode(CASE_CHANGES, world.log.all(CASE_CHANGES)[-1].value).data.case
    protector = Protector(services.tokenizer, services.sealer)
    draft = protector.draft(OrderIn.model_validate({**STOP, "basis": f"b {MARK}"}), "ord-1", case.case_id, case.queue)
    issue = OrderEvent(event_id="act-order", order_id="ord-1", kind=OrderEventKind.ISSUE, draft=draft)
    made = protector.measure(ReportedIn.model_validate(REPORTED), "m-1", "bank-001", T0)
    about = {"case_id": case.case_id, "queue": case.queue}
    for action, actor in (
        (move("claim", **about), None),
        (Action(action_id="act-order", kind=ActionKind.ORDER, officer="officer-a", order=issue, **about), None),
        (Action(action_id="act-measure", kind=ActionKind.MEASURE, measure=made, **about), "institution:bank-001"),
    ):
        world.submit(*action_record(action, actor=actor), CASE_COMMANDS)
    await world.drain()
    case = decode(CASE_CHANGES, world.log.all(CASE_CHANGES)[-1].value).data.case
    assert (len(case.orders), len(case.measures)) == (1, 1)
    records = [record for topic in TOPICS.values() for record in world.log.all(topic)]
    assert not [one for one in records if MARK.encode() in (one.key or b"") + (one.value or b"")]
    for stage, redis in world.redis.items():
        assert not [value for bucket in redis.buckets for value in _values(bucket.values) if MARK.encode() in value], stage
    told = [decode(NOTIFICATIONS, record.value).data for record in world.log.all(NOTIFICATIONS)]
    [order] = [one for one in told if one.order is not None and one.notification.recipient == "bank-001"]
    item = item_out(Entry(0, order, Delivery()), None, services.sealer)
    assert item.order is not None and item.data is not None
    assert item.order.basis == item.data["basis"] == f"b {MARK}", "its recipient reads it"
