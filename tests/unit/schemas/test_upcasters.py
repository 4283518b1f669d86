"""A record that an older version wrote is read as if it had been written today, through the upcasters of its type."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.codec import UPCASTERS, CodecError, decode
from schemas.topics import ASSESSED, SUBMITTED
from stream_processors.state.record_views import ReceiptRow
from tests.support import examples
from tests.support.builders import submission, submitted
from tests.support.world import World

V0, V00 = "cn.liandong.signals.submitted.v0", "cn.liandong.signals.submitted.v00"


def from_v0(raw: dict[str, Any]) -> dict[str, Any]:
    """v0 had the amount as one text, and called the institution a sender."""
    data = dict(raw["data"])
    minor, currency = data.pop("money").split(" ")
    data |= {"amount_minor": int(minor), "currency": currency, "institution": data.pop("sender")}
    return {**raw, "type": SUBMITTED.type, "data": data}


def from_v00(raw: dict[str, Any]) -> dict[str, Any]:
    """v00 had no place for a currency: it was yuan."""
    return {**raw, "type": V0, "data": {**raw["data"], "money": f"{raw['data']['money']} CNY"}}


@pytest.fixture(autouse=True)
def upcasters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(UPCASTERS, V0, from_v0)
    monkeypatch.setitem(UPCASTERS, V00, from_v00)


def older(value: bytes, kind: str) -> bytes:
    """The record as that version would have written it."""
    raw = orjson.loads(value)
    data = raw["data"]
    money, currency = data.pop("amount_minor"), data.pop("currency")
    data |= {"money": f"{money} {currency}" if kind == V0 else money, "sender": data.pop("institution")}
    return orjson.dumps({**raw, "type": kind})


@pytest.mark.parametrize("kind", [V0, V00])
@pytest.mark.parametrize("name", examples.of(SUBMITTED))
def test_a_record_of_an_older_version_is_read_as_one_of_today(name: str, kind: str) -> None:
    value = examples.of(SUBMITTED)[name]
    if orjson.loads(value)["data"]["amount_minor"] is None:
        value = orjson.dumps({**(raw := orjson.loads(value)), "data": {**raw["data"], "amount_minor": 5, "currency": "CNY"}})
    found, today = decode(SUBMITTED, older(value, kind)), decode(SUBMITTED, value)
    assert found == today
    assert found.type == SUBMITTED.type


def test_a_reader_of_a_part_reads_older_records_too(monkeypatch: pytest.MonkeyPatch) -> None:
    value = examples.of(ASSESSED)["assessed_telecom_fraud.json"]
    raw = orjson.loads(value)
    old = orjson.dumps({**raw, "type": "cn.liandong.signals.assessed.v0", "data": {"was": raw["data"]}})
    monkeypatch.setitem(
        UPCASTERS, "cn.liandong.signals.assessed.v0", lambda one: {**one, "type": ASSESSED.type, "data": one["data"]["was"]}
    )
    assert decode(ASSESSED, old, ReceiptRow) == decode(ASSESSED, value, ReceiptRow)


async def test_an_older_record_passes_the_whole_pipeline_and_meets_one_of_today() -> None:
    """Both are of one subject and different banks: the second is scored with the first."""
    world = await World().up()
    key, value = submission(submitted("bank-001", "old"))
    other_key, other = submission(submitted("bank-002", "new"))
    assert key == other_key
    world.submit(key, older(value, V0), SUBMITTED)
    world.submit(other_key, other, SUBMITTED)
    await world.settle()
    facts = [decode(ASSESSED, record.value).data for record in world.log.all(ASSESSED)]
    assert [(one.outcome, one.institution) for one in facts] == [("assessed", "bank-001"), ("assessed", "bank-002")]
    assert facts[0].amount_minor == decode(SUBMITTED, value).data.amount_minor
    assert any(reason.rule == "institutions" for reason in facts[1].reasons)


DAMAGED = {
    "a member is missing": lambda raw: raw["data"].pop("money"),
    "a member is no text": lambda raw: raw["data"].update(money=7),
    "a member is no number": lambda raw: raw["data"].update(money="x CNY"),
    "the data is a list": lambda raw: raw.update(data=[1]),
    "the data is nothing": lambda raw: raw.update(data=None),
    "what comes out is no record": lambda raw: raw["data"].pop("signal_id"),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_older_record_is_a_dead_letter_and_not_the_end_of_the_worker(how: str) -> None:
    raw = orjson.loads(older(submission(submitted())[1], V0))
    DAMAGED[how](raw)
    with pytest.raises(CodecError):
        decode(SUBMITTED, orjson.dumps(raw))


def test_upcasters_that_lead_nowhere_or_round_in_a_circle_end(monkeypatch: pytest.MonkeyPatch) -> None:
    record = older(submission(submitted())[1], V0)
    monkeypatch.setitem(UPCASTERS, V0, lambda raw: {**raw, "type": "cn.liandong.nothing.v1"})
    with pytest.raises(CodecError, match="cannot upgrade this version"):
        decode(SUBMITTED, record)
    monkeypatch.setitem(UPCASTERS, V0, lambda raw: {**raw, "type": V0})
    with pytest.raises(CodecError, match="cannot upgrade this version"):
        decode(SUBMITTED, record)
