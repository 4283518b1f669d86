"""The examples of schemas/examples: read, and (`python -m tests.support.examples`) written anew where one is missing.

They are what the stages themselves write for a small story: a fraud that three parties report, a repeat, a re-send, a conflict,
the posted examples of each kind of institution, a poison record, an officer who takes the case, hands it over and disposes of
it; then a correction, two signals that are taken back, and one that was before it came. Names and numbers are invented; the
values are sealed with the fixed keys of tests/support/builders.py.
"""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from schemas.codec import decode
from schemas.signals.assessed import AssessOutcome
from schemas.topics import (
    APPRAISAL_CHANGES,
    APPRAISAL_COMMANDS,
    ASSESSED,
    CASE_CHANGES,
    CASE_COMMANDS,
    DEADLETTER,
    DELIVERIES,
    ENDPOINTS,
    NOTIFICATIONS,
    RETRACTIONS,
    SUBMITTED,
    TOPICS,
    Topic,
    raw,
    receipts,
)
from stream_processors.domain.signals.retraction import TAKEN_BACK
from tests.support.builders import after

BANK = "bank-001"
RECEIPTS = receipts(BANK)
"""One institution's stands for all of them: they share a form."""
WRITTEN = [*TOPICS.values(), RECEIPTS]
"""Every topic whose records are ours."""
ROOT = Path(__file__).resolve().parents[2] / "schemas" / "examples"


def folder(topic: Topic) -> Path:
    """`signals.submitted.v1` -> schemas/examples/signals.submitted/v1."""
    name, _, version = (topic.form or topic.name).rpartition(".")
    return ROOT / name / version


@cache
def of(topic: Topic) -> dict[str, bytes]:
    """The examples of a topic by file name."""
    return {path.name: path.read_bytes() for path in sorted(folder(topic).glob("*.json"))}


_POSTED = {
    "bank_transfer": "bank-001",
    "payment_transfer": "pay-001",
    "telecom_call": "telecom-1",
    "telecom_message": "telecom-1",
    "platform_site": "platform-1",
    "platform_app": "platform-1",
    "organized_crime": "bank-002",
}
"""The posted examples that go through the stages too, and who sends them."""


async def _story() -> dict[Topic, dict[str, bytes]]:
    from tests.support.builders import account, action_record, move, phone, submission, submitted
    from tests.support.loop_examples import loop_story
    from tests.support.world import World

    fraud = {
        "region": "630222",
        "occurred_at": after(minutes=-12),
        "narrative": "受害人接到自称“平台客服”的电话，被诱导转账12,000元。",
    }
    suspects = [phone(1234), account(99), {"kind": "phone", "value": "+8613900005678", "role": "victim"}]
    first = submitted("bank-001", "2026-000117", indicators=suspects, **fraud)
    fundraising = {
        "kind": "illegal_finance",
        "region": "630202",
        "amount": {"minor": 68_000_000, "currency": "CNY"},
        "indicators": [
            {"kind": "url", "value": "https://licai.example.cn/vip"},
            {"kind": "card", "value": "6222 0212 3456 7890"},
        ],
        "narrative": "以“养老项目”名义承诺年化18%返利，疑似非法集资。",
    }
    signals = {
        "telecom_fraud": first,
        "second_institution": submitted("bank-002", "TF/88", indicators=[account(99)], **{**fraud, "narrative": None}),
        "telecom_operator": submitted("telecom-1", "c0ffee", indicators=[account(99), phone(7)], **{**fraud, "amount": None}),
        "illegal_finance": submitted("pay-001", "IF-5", **fundraising),
        "duplicate_reference": first,
        "duplicate_content": submitted("bank-001", "2026-000118", indicators=suspects, **fraud),
        "conflict": submitted("bank-001", "2026-000117", indicators=suspects, **{**fraud, "region": "630223"}),
    }
    posted = {path.name.split(".")[-2]: orjson.loads(path.read_bytes()) for path in sorted((ROOT / "http").glob("*.json"))}
    for name, who in _POSTED.items():
        signals[name] = submitted(who, **{"amount": None, "indicators": [], **posted[name]})
    again = {"reference": "B7-2026-000902", "occurred_at": "2026-03-02T08:55:00+08:00"}
    signals["repeated_transfer"] = submitted("bank-001", **{"amount": None, "indicators": [], **posted["bank_transfer"], **again})
    signals["sealed_reference"] = submitted("bank-004", "ZS-2026-07", indicators=[account(404)], **{**fraud, "narrative": None})
    world = await World(workers=1).up()
    found: dict[Topic, dict[str, bytes]] = {topic: {} for topic in WRITTEN}
    for name, signal in signals.items():
        key, value = submission(signal)
        world.submit(key, value, SUBMITTED)
        if name in ("telecom_fraud", "illegal_finance", "telecom_operator", "sealed_reference", *_POSTED):
            found[SUBMITTED][name] = value
        await world.poll("assess", 0)
        world.clock.forward(3)
        record = world.log.all(ASSESSED, max(range(8), key=lambda p: _newest(world, p)))[-1]
        found[ASSESSED]["assessed_" + name if "_" in name else name] = record.value or b""
    world.log.put(SUBMITTED, 0, b"?", b'{"specversion": "1.0", "id": "not a record"}')
    await world.poll("assess", 0)
    found[ASSESSED]["refused"] = world.log.all(ASSESSED, 0)[-1].value or b""
    found[DEADLETTER]["unreadable_signal"] = world.log.all(DEADLETTER)[-1].value or b""
    joins = world.log.all(CASE_COMMANDS)
    found[CASE_COMMANDS]["join"] = joins[0].value or b""
    case_id, queue = (joins[0].key or b"").decode(), decode(CASE_COMMANDS, joins[0].value).data.queue
    await world.poll("track", 0)
    changes: list[tuple[str, Any]] = []
    for number, (kind, officer, more) in enumerate(
        [
            ("claim", "officer-a", {"lease_s": 900}),
            ("claim", "officer-b", {}),
            ("renew", "officer-a", {"lease_s": 1800}),
            ("hand_over", "officer-a", {"to_officer": "officer-b"}),
            ("release", "officer-b", {}),
            ("claim", "officer-b", {}),
            ("dispose", "officer-b", {"disposition": "confirmed", "revision": None}),
        ]
    ):
        action = move(kind, officer, case_id, action_id=f"act-{number}", queue=queue, **more)
        key, value = action_record(action)
        world.submit(key, value, CASE_COMMANDS)
        world.clock.forward(40)
        await world.poll("track", 0)
        found[CASE_COMMANDS].setdefault(kind, value)
        changes.append((kind, value))
    world.submit(*action_record(move("claim", "officer-a", case_id, action_id="act-0")), CASE_COMMANDS)
    world.log.put(CASE_COMMANDS, 0, b"?", b"{}")
    await world.poll("track", 0)
    for name, value in (await _taken_back(world)).items():
        found[RETRACTIONS].setdefault(name, value)
    for record in world.log.all(ASSESSED):
        fact = decode(ASSESSED, record.value).data
        found[ASSESSED].setdefault(fact.outcome.value, record.value or b"") if fact.outcome in TAKEN_BACK else None
        if fact.outcome is AssessOutcome.RETRACTED or fact.version > 1:
            found[ASSESSED].setdefault("retracted" if fact.version == 1 else "assessed_correction", record.value or b"")
    found[CASE_COMMANDS]["retract"] = next(
        r.value or b"" for r in world.log.all(CASE_COMMANDS) if b'"kind":"retract"' in (r.value or b"")
    )
    for record in world.log.all(CASE_CHANGES):
        change = decode(CASE_CHANGES, record.value).data
        name = f"{change.outcome.value}_{change.kind.value if change.kind else 'unreadable'}"
        found[CASE_CHANGES].setdefault(name + "_with_verdict" * (change.verdict is not None), record.value or b"")
    found[DEADLETTER]["unreadable_action"] = world.log.all(DEADLETTER)[-1].value or b""
    await _raw_story(found)
    await _oversight_story(found)
    for topic, records in (await loop_story()).items():
        for name, value in records.items():
            found[topic].setdefault(name, value)
    await _deliveries(found)
    await _hooks(found)
    return found


async def _hooks(found: dict[Topic, dict[str, bytes]]) -> None:
    """A bank's endpoint takes a notice, refuses one, and wants no more."""
    from tests.support.calling import Calling
    from tests.support.hooks import url_of

    calling = await Calling().up()
    calling.register()
    names = ("taken_by_an_endpoint", "refused_by_an_endpoint", "gone")
    for n, (name, status) in enumerate(zip(names, (200, 403, 410), strict=True)):
        calling.receivers.says[url_of("hook-1")] = status
        calling.issue(n)
        await calling.work()
        found[DELIVERIES].setdefault(name, calling.world.log.all(DELIVERIES)[-1].value or b"")
        calling.world.clock.forward(60)
    del found[DELIVERIES]["gone"]
    records = calling.world.log.all(ENDPOINTS)
    found[ENDPOINTS] |= {name: one.value or b"" for name, one in zip(("registered", "switched_off"), records, strict=True)}


async def _oversight_story(found: dict[Topic, dict[str, bytes]]) -> None:
    """The coordination body assesses a year, lists a unit, asks it for data; a bank tells of a campaign."""
    from tests.support.oversight import ask, campaign, oversight_record
    from tests.support.scores import UNIT, move, step
    from tests.support.world import World

    world = await World(workers=1).up()
    story = {
        "appraisal_open": move("open"),
        "appraisal_publish": move("publish"),
        "appraisal_dispute": move("dispute", UNIT),
        "supervision_issue": step("issue"),
        "supervision_answer": step("answer", UNIT),
        "data_request": ask(),
        "data_submit": ask("submit", UNIT),
        "data_record_finding_by_a_unit": ask("record_finding", UNIT),
        "campaign_report": campaign(),
    }
    for name, request in story.items():
        actor = "institution:bank-001" if name == "campaign_report" else "officer:coordinator-1"
        key, value = oversight_record(request, actor)
        world.submit(key, value, APPRAISAL_COMMANDS)
        world.clock.forward(60)
        await world.drain()
        found[APPRAISAL_COMMANDS][name] = value
        newest = max(world.log.all(APPRAISAL_CHANGES), key=lambda record: record.timestamp_ms)
        found[APPRAISAL_CHANGES]["refused" if name == "data_record_finding_by_a_unit" else name] = newest.value or b""


async def _raw_story(found: dict[Topic, dict[str, bytes]]) -> None:
    """A bank's own Kafka client: a signal, one without its reference, a tombstone, one with faults."""
    from tests.support.world import World

    world = await World(workers=1, institutions=(BANK,)).up()
    posted = (ROOT / "http" / "signal.telecom_fraud.json").read_bytes()
    body = orjson.loads(posted)
    without = orjson.dumps({key: value for key, value in body.items() if key != "reference"})
    faulty = orjson.dumps({**body, "region": "the county", "severity": "high"})
    for value in (posted, without, None, faulty):
        world.log.put(raw(BANK), 0, None, value)
    await world.poll(f"intake {BANK}", 0)
    told = world.log.all(RECEIPTS)
    names = ("accepted", "refused_without_reference", "refused_tombstone", "refused_faults")
    found[RECEIPTS] |= {name: record.value or b"" for name, record in zip(names, told, strict=True)}
    found[DEADLETTER]["refused_raw"] = world.log.all(DEADLETTER)[-1].value or b""


async def _deliveries(found: dict[Topic, dict[str, bytes]]) -> None:
    """An order and a feedback on their way to a bank, and what became of them."""
    from tests.support.deliveries import change, mark, mark_record, notice, ordered, put_change
    from tests.support.world import World

    world = await World(workers=1).up()
    told = {"template": "order_executed", "data": {"recipient": "bank-001"}, "kind": "deadline", "order_id": "ord-1"}
    executed = notice(1, "public-security-630202", after(minutes=5), **told)
    for number, one in enumerate([ordered(), change(1, (executed,), orders=ordered().case.orders)]):
        put_change(world, one)
        await world.poll("deliver", 0)
        found[CASE_CHANGES].setdefault("applied_with_notices", _newest_of(world, CASE_CHANGES, 0)) if number == 0 else None
    names = {b"bank-001": "order", b"public-security-630202": "answer_of_an_order"}
    found[NOTIFICATIONS] |= {names[record.key or b""]: record.value or b"" for record in world.log.all(NOTIFICATIONS)}
    way = {"notified_at": after(), "notification_id": "act-issue-ord-1/ord-1/0"}
    marks = {
        "received": mark("received", at=after(seconds=2), **way),
        "acknowledged": mark("acknowledged", at=after(seconds=40), **{**way, "channel": "api"}),
        "parked": mark(
            "parked", at=after(hours=20), **{**way, "channel": "webhook"}, attempt=12, detail="the endpoint answered 500"
        ),
        "redelivered": mark("redelivered", at=after(hours=21), **{**way, "channel": "api"}),
    }
    found[DELIVERIES] |= {name: mark_record(one)[1] for name, one in marks.items()}


def _newest_of(world: Any, topic: Topic, partition: int) -> bytes:
    return world.log.all(topic, partition)[-1].value or b""


async def _taken_back(world: Any) -> dict[str, bytes]:
    """bank-002 corrects its signal, and takes it back; so does bank-001; pay-001 takes back a signal that comes only then."""
    from tests.support.builders import account, retraction, retraction_record, submission, submitted

    async def settled() -> None:
        for stage in ("assess", "assess", "assess", "track"):
            await world.poll(stage, 0)
            world.clock.forward(1)

    fraud = {"region": "630222", "occurred_at": after(minutes=-12), "narrative": None}
    corrected = submitted("bank-002", "TF/88", indicators=[account(99)], version=2, amount={"minor": 21_000_00}, **fraud)
    world.submit(*submission(corrected), SUBMITTED)
    await settled()
    taken_back = retraction_record(retraction("bank-002", "TF/88"))
    for who, reference in (("bank-002", "TF/88"), ("bank-001", "2026-000117"), ("pay-001", "IF-6")):
        world.submit(*retraction_record(retraction(who, reference)), RETRACTIONS)
    await settled()
    world.submit(*submission(submitted("pay-001", "IF-6", indicators=[account(7)], **fraud)), SUBMITTED)
    await settled()
    written = world.log.all(RETRACTIONS)
    found = {"retraction": taken_back[1]}
    for record in written:
        if b'"actor":"stage:assess"' in (record.value or b""):
            found.setdefault("forwarded" if b'"forwarded":true' in record.value else "correction", record.value)
    return found


def _newest(world: Any, partition: int) -> tuple[int, int]:
    records = world.log.all(ASSESSED, partition)
    return (records[-1].timestamp_ms, len(records)) if records else (0, 0)


def write() -> list[Path]:
    """Writes the examples that are not there yet; what is there stays, for older readers must go on reading it."""
    made = []
    for topic, found in asyncio.run(_story()).items():
        for name, value in found.items():
            path = folder(topic) / f"{name}.json"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
                made.append(path)
    return made


if __name__ == "__main__":
    for one in write():
        print(one)
