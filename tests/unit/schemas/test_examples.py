"""Every topic has examples, every example is a record of its topic, and writing it again gives the same data."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from schemas.cases.case import ActionKind, ActionOutcome
from schemas.codec import decode, encode
from schemas.envelope import Origin
from schemas.signals.assessed import AssessOutcome
from schemas.signals.receipts import RawOutcome
from schemas.signals.submission import SignalIn, SignalKind
from schemas.signals.taxonomy import EVENT_TYPES, SENDERS
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, DEADLETTER, SUBMITTED, Topic
from tests.support import examples
from tests.support.builders import SEALER, T0, submitted

EVERY = [(topic, name) for topic in examples.WRITTEN for name in examples.of(topic)]
HTTP = sorted((examples.ROOT / "http").glob("signal.*.json"))


@pytest.mark.parametrize("topic", examples.WRITTEN, ids=lambda topic: topic.name)
def test_a_topic_has_an_example(topic: Topic) -> None:
    assert examples.of(topic)


@pytest.mark.parametrize(("topic", "name"), EVERY, ids=lambda one: getattr(one, "name", one))
def test_an_example_is_read_and_written_again_as_it_is_but_for_fields_of_later(topic: Topic, name: str) -> None:
    raw = orjson.loads(examples.of(topic)[name])
    envelope = decode(topic, examples.of(topic)[name])
    origin = Origin.parse(envelope.origin) if envelope.origin else None
    again = encode(
        topic,
        envelope.data,
        id=envelope.id,
        source=envelope.source,
        actor=envelope.actor,
        time=envelope.time,
        origin=origin,
        subject=envelope.subject,
    )
    written = orjson.loads(again)
    assert _with_what_stood(written, raw) == raw
    assert decode(topic, again).data == envelope.data
    assert raw["type"] == topic.type
    assert raw["actor"].partition(":")[0] in {"institution", "stage", "officer", "unknown"}


def _with_what_stood(written: Any, stood: Any) -> Any:
    """`written` without the members that an older record does not have: every one of them has a default."""
    if isinstance(written, dict) and isinstance(stood, dict):
        return {name: _with_what_stood(value, stood[name]) for name, value in written.items() if name in stood}
    if isinstance(written, list) and isinstance(stood, list) and len(written) == len(stood):
        return [_with_what_stood(one, other) for one, other in zip(written, stood, strict=True)]
    return written


def _data(topic: Topic) -> list[Any]:
    return [decode(topic, raw).data for raw in examples.of(topic).values()]


def test_there_is_an_example_of_every_kind_and_outcome() -> None:
    assert {one.kind for one in _data(SUBMITTED)} == set(SignalKind)
    assert {one.outcome for one in _data(ASSESSED)} == set(AssessOutcome)
    assert {one.kind for one in _data(CASE_COMMANDS)} == set(ActionKind)
    assert {one.outcome for one in _data(CASE_CHANGES)} == set(ActionOutcome)
    assert {one.kind for one in _data(CASE_CHANGES) if one.outcome is ActionOutcome.APPLIED} == set(ActionKind)
    assert {one.stage for one in _data(DEADLETTER)} == {"intake", "assess", "track"}
    assert {one.outcome for one in _data(examples.RECEIPTS)} == set(RawOutcome)


def test_the_examples_open_with_the_tests_keys_and_only_there_they_are_readable() -> None:
    for signal in _data(SUBMITTED):
        for subject in signal.subjects:
            assert SEALER.unseal(subject.sealed, f"{signal.signal_id}/{subject.token}")
        assert SEALER.unseal(signal.reference_sealed, f"{signal.signal_id}/reference")
        if signal.event and signal.event.name_sealed:
            assert SEALER.unseal(signal.event.name_sealed, f"{signal.signal_id}/event.name") == "金富通"
        if signal.narrative_sealed:
            said = SEALER.unseal(signal.narrative_sealed, f"{signal.signal_id}/narrative")
            assert any("\u4e00" <= letter <= "\u9fff" for letter in said)
            assert said.encode() not in b"".join(examples.of(SUBMITTED).values())


@pytest.mark.parametrize("path", HTTP, ids=lambda path: path.name)
def test_a_posted_example_is_a_signal_of_the_kind_in_its_name(path: Any) -> None:
    body = SignalIn.model_validate_json(path.read_bytes())
    assert path.name.split(".")[:2] == ["signal", body.kind]
    assert body.narrative
    fields = json.loads(path.read_text("utf-8"))
    fields.pop("reference")
    assert submitted("bank-001", "x", **fields).kind is body.kind


def test_every_kind_of_signal_has_a_posted_example() -> None:
    assert {f"signal.{kind}.json" for kind in SignalKind} <= {path.name for path in HTTP}


def test_every_event_of_every_kind_of_institution_has_a_posted_example() -> None:
    wanted = {(f"{sender.id}_{event}", event) for sender in SENDERS for event in sender.events}
    found = {(path.name.split(".")[2], json.loads(path.read_text("utf-8"))["event"]["type"]) for path in HTTP if _by(path)}
    assert found == wanted


def test_every_event_travels_in_an_example_of_each_topic_that_carries_it() -> None:
    for found in (_data(SUBMITTED), _data(ASSESSED)):
        assert {one.event.type for one in found if one.event} == set(EVENT_TYPES)


def _by(path: Any) -> bool:
    return path.name.count(".") == 3


def test_what_a_newer_writer_added_is_passed_over() -> None:
    raw = orjson.loads(examples.of(SUBMITTED)["telecom_fraud.json"])
    raw["data"]["a_field_of_tomorrow"] = {"deep": 1}
    raw["an_extension"] = "x"
    assert decode(SUBMITTED, orjson.dumps(raw)).data == decode(SUBMITTED, examples.of(SUBMITTED)["telecom_fraud.json"]).data


def test_t0_is_the_time_of_the_story() -> None:
    assert all(one.occurred_at < T0 for one in _data(SUBMITTED) if one.kind is SignalKind.TELECOM_FRAUD)
