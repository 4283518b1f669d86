"""Reading what somebody sent: the model, or the reason why not, without its values."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.parsing import Refused, check_depth, refused
from schemas.security.signal_reader import SignalReader
from tests.support.builders import SEALER, T0, TOKENIZER

READER = SignalReader(TOKENIZER, SEALER, 16, "/test")
GOOD = {
    "kind": "telecom_fraud",
    "occurred_at": "2026-03-02T09:00:00+08:00",
    "region": "630202",
    "indicators": [{"kind": "phone", "value": "138 0000 1234"}],
}


@pytest.mark.parametrize("seed", range(20))
def test_depth_is_that_of_the_structure_and_not_of_the_texts(seed: int) -> None:
    dice = random.Random(seed)
    depth = dice.randrange(1, 30)
    text = dice.choice([b'"x"', b'"[[[[{{{{"', b'"\\"[[["', b'"\\\\"', b"[], []" * 20])
    raw = b"[" * depth + text + b"]" * depth
    inner = 1 if text.startswith(b"[") else 0
    if depth + inner <= 16:
        check_depth(raw, 16)
    else:
        with pytest.raises(Refused):
            check_depth(raw, 16)


@pytest.mark.parametrize(
    ("raw", "slug", "pointers"),
    [
        (b"", "invalid-signal", [""]),
        (b"\xff\xfe{}", "invalid-signal", [""]),
        (b"[1]", "invalid-signal", [""]),
        (b'{"kind": "gossip-4711"}', "invalid-signal", ["/kind", "/occurred_at", "/region", "/indicators"]),
        (b'{"institution": "bank-4711"}', "invalid-signal", None),
        (b"[" * 5000, "json-too-deep", None),
        (b'{"narrative": "\\ud800"}', "invalid-signal", None),
    ],
)
def test_what_is_no_signal_is_refused_with_its_places_and_without_its_values(
    raw: bytes, slug: str, pointers: list[str] | None
) -> None:
    with pytest.raises(Refused) as found:
        READER.body(raw)
    assert found.value.slug == slug
    assert "4711" not in str(found.value) + repr(found.value.faults)
    if pointers is not None:
        assert [fault.pointer for fault in found.value.faults or ()] == pointers


@pytest.mark.parametrize(
    ("member", "pointer"),
    [
        ("naratve", "/naratve"),
        ("6222021001234567", "/*"),
        ("张三", "/*"),
        ("a/b~c", "/*"),
        ("\n", "/*"),
        ("x" * 41, "/*"),
        ("", "/*"),
    ],
)
def test_the_name_of_an_unknown_member_is_told_only_where_it_can_name_nobody(member: str, pointer: str) -> None:
    raw = json.dumps({**GOOD, member: 1}).encode()
    with pytest.raises(Refused) as found:
        READER.body(raw)
    assert found.value.detail == f"{pointer}: unknown member"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"region": "海东"}, "/region: a region must be a GB/T 2260 code of six digits, as text, for example 630202"),
        ({"reference": "a b"}, "/reference: a reference must be 1 to 128 printable ASCII characters without spaces"),
        ({"amount": {"minor": 1, "currency": "yuan"}}, "/amount/currency: a currency must be an ISO 4217 code, for example CNY"),
        ({"derived_from": "?"}, "/derived_from: send the id of a signal, or institution/reference"),
    ],
)
def test_a_text_of_the_wrong_form_is_told_what_form_it_has_and_no_pattern(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as found:
        READER.body(json.dumps({**GOOD, **change}).encode())
    assert found.value.detail == said


def test_a_hundred_faults_are_told_in_part() -> None:
    raw = b"{" + b",".join(b'"field%d": 1' % n for n in range(100)) + b"}"
    with pytest.raises(Refused) as found:
        READER.body(raw)
    assert len(found.value.faults or ()) == 20


@pytest.mark.parametrize("count", [17, 32_000])
@pytest.mark.parametrize("wrong", ["0", '{"kind": "gossip", "value": ""}', '{"kind": "phone", "value": "1"}'])
def test_too_long_a_list_is_one_fault_and_its_elements_are_none(wrong: str, count: int) -> None:
    raw = json.dumps({**GOOD, "indicators": []}).replace("[]", f"[{','.join([wrong] * min(count, 64_000 // len(wrong)))}]")
    with pytest.raises(Refused) as found:
        READER.body(raw.encode())
    if wrong == "0" or count == 17:
        assert found.value.faults == (("/indicators", "at most 16 elements are allowed here"),)
    assert len(found.value.faults or ()) == 1


def test_so_are_too_many_urls_of_a_message() -> None:
    ends = {"sender": {"kind": "phone", "value": "13800001234"}, "recipient": {"kind": "phone", "value": "13900005678"}}
    event = {"type": "message", **ends, "urls": ["?"] * 9}
    with pytest.raises(Refused) as found:
        READER.body(json.dumps({**GOOD, "event": event}).encode())
    assert found.value.faults == (("/event/urls", "at most 8 elements are allowed here"),)


@pytest.mark.parametrize("place", ["", "indicators/0", "event"])
def test_more_parts_than_any_signal_has_are_one_fault(place: str) -> None:
    body = json.loads(json.dumps({**GOOD, "event": {"type": "app", "package": "com.example.a"}}))
    holder = body["indicators"][0] if place == "indicators/0" else body[place] if place else body
    holder.update({f"m{n}": 0 for n in range(5000)})
    with pytest.raises(Refused) as found:
        READER.body(json.dumps(body).encode())
    assert found.value.faults == (("", "a body may have at most 256 members, objects and lists together"),)


@pytest.mark.parametrize("element", ["[]", "{}", '{"a": [0]}'])
def test_so_are_lists_and_objects_in_a_list(element: str) -> None:
    raw = json.dumps({**GOOD, "indicators": 1}).replace("1}", f"[{','.join([element] * 5000)}]}}")
    with pytest.raises(Refused) as found:
        READER.body(raw.encode())
    assert found.value.faults == (("", "a body may have at most 256 members, objects and lists together"),)


def test_what_looks_like_parts_in_a_text_is_none() -> None:
    said = 'he said: {"a": 1, "b": [2]} ' * 130
    assert READER.body(json.dumps({**GOOD, "narrative": said}).encode()).narrative == said.strip()


def test_so_many_faults_that_telling_them_takes_long_are_told_in_number_only() -> None:
    class Few(BaseModel):
        model_config = ConfigDict(extra="forbid")

    with pytest.raises(ValidationError) as wrong:
        Few.model_validate({f"m{n}": 0 for n in range(5000)})
    found = refused(wrong.value, "invalid-request")
    assert (found.detail, found.faults) == ("the body has more than 1000 faults", ())


def test_a_submission_is_keyed_by_its_primary_subject_and_named_by_its_sender_and_reference() -> None:
    raw = b"""{"kind": "telecom_fraud", "occurred_at": "2026-03-02T09:00:00+08:00", "region": "630202",
        "indicators": [{"kind": "phone", "value": "138 0000 1234"}]}"""
    senders = ("bank-001", "bank-001", "bank-2")
    made = [READER.submission(READER.body(raw), institution=who, reference="r-1", now=T0) for who in senders]
    assert made[0].signal_id == made[1].signal_id != made[2].signal_id
    assert made[0].key == made[2].key == TOKENIZER.token("phone", "+8613800001234").encode()
    assert b"13800001234" not in made[0].value


@pytest.mark.parametrize("member", ["occurred_at", "detected_at", "event/at"])
def test_a_time_far_ahead_is_refused_with_its_place_and_one_that_is_only_pending_is_not(member: str) -> None:
    def submit(at: datetime) -> None:
        body: dict[str, Any] = dict(GOOD)
        if member == "event/at":
            body["event"] = {"type": "app", "at": at.isoformat(), "package": "com.example.a", "name": "a"}
        else:
            body[member] = at.isoformat()
        READER.submission(READER.body(json.dumps(body).encode()), institution="bank-001", reference="r-1", now=T0)

    submit(T0 + timedelta(days=31))
    with pytest.raises(Refused) as found:
        submit(T0 + timedelta(days=31, seconds=1))
    assert (found.value.slug, found.value.faults) == (
        "invalid-signal",
        ((f"/{member}", "the time is more than 31 days in the future"),),
    )
