"""The codec: what went in comes out, for every topic; what is no record raises CodecError and nothing else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.codec import CodecError, decode, encode
from schemas.envelope import Origin
from schemas.topics import TOPICS, Topic
from tests.support import examples
from tests.support.builders import T0

TOPIC = st.sampled_from(examples.WRITTEN)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.sampled_from(["", "k1.x", "2026-03-02T01:00:00Z"])
)
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6)
RECORDS = [(topic, value) for topic in examples.WRITTEN for value in examples.of(topic).values()]


def _read(topic: Topic, raw: bytes | None) -> Any:
    try:
        return decode(topic, raw)
    except CodecError as error:
        assert len(str(error)) < 1000
        return None


@given(TOPIC, st.binary(max_size=200) | st.none())
@example(TOPICS["signals.submitted.v1"], b'{"type": []}')
@example(TOPICS["signals.submitted.v1"], b'{"type": {"a": 1}}')
@example(TOPICS["cases.commands.v1"], b"[" * 100_000)
@example(TOPICS["cases.commands.v1"], b'{"type": "\\ud800"}')
def test_any_bytes_are_a_record_or_a_codec_error(topic: Topic, raw: bytes | None) -> None:
    assert _read(topic, raw) is None


@given(TOPIC, JSON)
def test_any_json_is_a_record_or_a_codec_error(topic: Topic, value: Any) -> None:
    try:
        raw = orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits, written by hand
        raw = repr(value).encode("utf-8", "replace")
    _read(topic, raw)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at] * bool(at) + [place for name, one in inner for place in _places(one, (*at, name))]


@given(st.data(), st.sampled_from(RECORDS), JSON, st.sampled_from(["put", "drop", "cut"]))
def test_a_damaged_record_is_another_record_or_a_codec_error(data: st.DataObject, found: Any, other: Any, how: str) -> None:
    topic, raw = found
    if how == "cut":
        _read(topic, raw[: data.draw(st.integers(0, len(raw)))])
        return
    value = orjson.loads(raw)
    *path, last = data.draw(st.sampled_from(_places(value)))
    inner = value
    for name in path:
        inner = inner[name]
    if how == "put":
        inner[last] = other
    else:
        del inner[last]
    try:
        raw = orjson.dumps(value)
    except TypeError:
        return
    envelope = _read(topic, raw)
    if envelope is not None:  # whatever passed can be written again, and read again
        again = encode(
            topic,
            envelope.data,
            id=envelope.id,
            source=envelope.source,
            actor=envelope.actor,
            time=envelope.time,
            subject=envelope.subject,
        )
        assert decode(topic, again).data == envelope.data


@pytest.mark.parametrize("topic", TOPICS.values(), ids=str)
def test_what_went_in_comes_out(topic: Topic) -> None:
    for value in examples.of(topic).values():
        data = decode(topic, value).data
        origin = Origin("signals.submitted.v1", 3, 14, 1)
        raw = encode(topic, data, id="x", source="/test", actor="stage:test", time=T0, origin=origin, subject="s")
        envelope = decode(topic, raw)
        assert envelope.data == data
        assert (envelope.id, envelope.actor, envelope.time, envelope.subject) == ("x", "stage:test", T0, "s")
        assert Origin.parse(envelope.origin) == origin
        assert envelope.type == topic.type


@given(st.from_regex(r"[a-z./-]{1,20}", fullmatch=True), st.integers(0, 99), st.integers(0, 2**52), st.integers(0, 15))
def test_an_origin_is_read_as_it_was_written(topic: str, partition: int, offset: int, n: int) -> None:
    assert Origin.parse(str(Origin(topic, partition, offset, n))) == Origin(topic, partition, offset, n)
