"""The folds' rows are twins of the models: what is folded from either is the same."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from schemas.codec import CodecError, decode, dump
from schemas.topics import ASSESSED, CASE_CHANGES, Topic
from stream_processors.folds.assess import fold_assess
from stream_processors.state.compression import unpack
from stream_processors.state.streams import FactStream
from stream_processors.topology import STAGES
from stream_processors.views.receipts import Receipt, Withdrawal, project_assessed, receipt_json, withdrawal_json
from tests.support import examples

STREAMS = [(stage.name, stream) for stage in STAGES.values() for stream in stage.streams]


def _values(topic: Topic) -> list[bytes]:
    return list(examples.of(topic).values())


@pytest.mark.parametrize(("stage", "stream"), STREAMS, ids=[f"{name} {stream.topic.name}" for name, stream in STREAMS])
def test_a_row_has_what_its_model_has_under_the_same_name(stage: str, stream: FactStream) -> None:
    for value in _values(stream.topic):
        row, model = decode(stream.topic, value, stream.view), decode(stream.topic, value)
        assert (row.type, row.time, row.actor, row.origin) == (model.type, model.time, model.actor, model.origin)
        _twins(row.data, model.data)


def _twins(row: Any, model: Any) -> None:
    if isinstance(row, msgspec.Struct):
        for name in set(row.__struct_fields__) - {"raw"}:
            _twins(getattr(row, name), getattr(model, name))
    elif isinstance(row, tuple) and row and isinstance(row[0], msgspec.Struct):
        assert len(row) == len(model)
        for one, other in zip(row, model, strict=True):
            _twins(one, other)
    elif isinstance(row, msgspec.Raw):
        said = orjson.loads(bytes(row))
        same = said == (None if model is None else orjson.loads(dump(model)))
        assert same or type(model).model_validate(said) == model, "what an older writer left out has the model's default"
    else:
        assert row == model


@pytest.mark.parametrize(("view_of", "fold"), [("assess", fold_assess), ("project", project_assessed)])
def test_the_same_effects_come_from_a_row_and_from_the_whole_fact(view_of: str, fold: Any) -> None:
    stream = STAGES[view_of].streams[0]
    for value in _values(ASSESSED):
        assert fold(decode(ASSESSED, value, stream.view)) == fold(decode(ASSESSED, value))


def test_what_is_stored_of_a_receipt_has_names_that_its_reader_knows() -> None:
    """Readers ignore members that they do not know, so that both versions can run during an upgrade: a misspelt one would be
    lost without a word."""
    read_back: set[str] = set()
    for envelope in (decode(ASSESSED, value) for value in _values(ASSESSED)):
        if envelope.data.institution:
            stored = orjson.loads(unpack(receipt_json(envelope.data, envelope.time)))
            assert stored.keys() <= Receipt.model_fields.keys()
            read_back |= stored.keys()
            assert orjson.loads(withdrawal_json(envelope.data)).keys() == Withdrawal.model_fields.keys()
    assert read_back >= {"duplicate_of", "score", "reasons", "queues", "cases"}, "the examples have each of them"


@pytest.mark.parametrize(("stage", "stream"), STREAMS, ids=[f"{name} {stream.topic.name}" for name, stream in STREAMS])
@pytest.mark.parametrize("outcome", [5, None, "unheard-of secret", {"a": 1}])
def test_a_record_that_is_none_is_told_without_repeating_what_it_says(stage: str, stream: FactStream, outcome: Any) -> None:
    raw = orjson.loads(_values(stream.topic)[0])
    fields = getattr(stream.view, "__struct_encode_fields__", None) or stream.view.model_fields
    if "verdict" in fields:
        raw["data"]["verdict"] = {"tokens": outcome, "confirmed_until_ms": "secret"}
    else:
        raw["data"][next(name for name in ("outcome", "state", "notification", "at", "endpoints") if name in fields)] = outcome
    with pytest.raises(CodecError) as told:
        decode(stream.topic, orjson.dumps(raw), stream.view)
    assert "secret" not in str(told.value)


def test_a_case_that_cannot_be_placed_is_told_when_its_change_is_read() -> None:
    raw = next(one for one in map(orjson.loads, _values(CASE_CHANGES)) if one["data"].get("case"))
    del raw["data"]["case"]["queue"]
    with pytest.raises(CodecError, match="queue"):
        decode(CASE_CHANGES, orjson.dumps(raw), STAGES["project"].streams[1].view)


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b"[" * 100_000, b'{"type":"x","time":"2026-01-01T00:00:00Z"}', b"nul"])
def test_bytes_that_are_no_record_are_told(value: bytes) -> None:
    with pytest.raises(CodecError):
        decode(ASSESSED, value, STAGES["assess"].streams[0].view)
