"""Reading a body, for any body: a member that stands twice is refused wherever it stands; one bad value loses no signal."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.members import Unreadable, has_single_members, repeated_members
from schemas.parsing import Refused
from schemas.security.signal_reader import SignalReader
from schemas.signals.advisories import advice
from schemas.signals.submission import SignalIn
from tests.support.builders import SEALER, T0, TOKENIZER, account, phone

FACTOR = int(os.environ.get("LIANDONG_HYPOTHESIS_FACTOR", "1"))
READER = SignalReader(TOKENIZER, SEALER, 16, "/test")
NAMES = st.sampled_from(["kind", "a:b", 'q"u', "back\\", "", "值", ":", "\n"])
TEXTS = st.one_of(NAMES, st.text(max_size=8).filter(lambda text: text.isprintable()))
SPACE = st.sampled_from(["", " ", "\n", "\t "])


class Members(list[tuple[str, Any]]):
    """An object as it is written: its members in order, names perhaps twice."""


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Members]:
    return st.lists(st.tuples(NAMES, values), max_size=4).map(Members)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), objects(inner)),
    max_leaves=12,
)


def written(value: Any, draw: Any) -> str:
    """JSON of a value, with blanks, and each text escaped in one of the ways that there are."""
    around = draw(SPACE)
    if isinstance(value, Members):
        inner = ",".join(f"{written(name, draw)}:{written(one, draw)}" for name, one in value)
        return f"{around}{{{inner}}}{around}"
    if isinstance(value, list):
        return f"{around}[{','.join(written(one, draw) for one in value)}]{around}"
    if isinstance(value, str) and draw(st.booleans()):
        letters = (f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else letter for letter in value)
        return f'{around}"{"".join(letters)}"{around}'
    return around + json.dumps(value, ensure_ascii=draw(st.booleans())) + around


def has_twice(value: Any) -> bool:
    if isinstance(value, Members):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(has_twice(one) for _, one in value)
    return isinstance(value, list) and any(has_twice(one) for one in value)


@settings(max_examples=400 * FACTOR)
@given(VALUES, st.data())
def test_whether_a_member_stands_twice_is_told_exactly(value: Any, data: st.DataObject) -> None:
    raw = written(value, data.draw).encode()
    assert bool(list(repeated_members(raw))) == has_twice(value)
    if has_single_members(raw):
        assert not has_twice(value)
    elif b"u003a" not in raw:
        assert has_twice(value), "an ordinary body needs no closer look"


BODY: dict[str, Any] = {
    "reference": "r-1",
    "kind": "telecom_fraud",
    "occurred_at": "2026-03-02T07:58:00+08:00",
    "region": "630202",
    "indicators": [account(1), phone(2)],
    "event": {"type": "transfer", "payer": account(3), "payee": account(4), "amount": {"minor": 5, "currency": "CNY"}},
    "amount": {"minor": 5},
}


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of every member of a body."""
    found = [(*at, name) for name in value] if isinstance(value, dict) else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for name, one in inner for place in places(one, (*at, name))]


def doubled(value: Any, place: tuple[Any, ...], escaped: bool, first: bool) -> str:
    """The body with the member at `place` twice, each time with another value."""
    if isinstance(value, list):
        inner = (doubled(one, place[1:] if place[:1] == (n,) else (), escaped, first) for n, one in enumerate(value))
        return f"[{','.join(inner)}]"
    if not isinstance(value, dict):
        return json.dumps(value)
    members = []
    for name, one in value.items():
        members.append(f"{json.dumps(name)}: {doubled(one, place[1:] if place[:1] == (name,) else (), escaped, first)}")
        if place == (name,):
            spelt = f'"\\u{ord(name[0]):04x}{name[1:]}"' if escaped else json.dumps(name)
            members.insert(0 if first else len(members), f"{spelt} : null")
    return "{" + ", ".join(members) + "}"


@settings(max_examples=200 * FACTOR)
@given(st.sampled_from(places(BODY)), st.booleans(), st.booleans())
def test_a_member_twice_is_refused_wherever_it_stands_and_however_it_is_spelt(place: Any, escaped: bool, first: bool) -> None:
    with pytest.raises(Refused) as found:
        READER.body(doubled(BODY, place, escaped, first).encode())
    assert found.value.slug == "invalid-signal"
    assert [fault.pointer for fault in found.value.faults or ()] == ["".join(f"/{part}" for part in place)]
    assert "twice" in found.value.detail


@given(st.binary(max_size=40))
def test_bytes_that_are_no_json_are_for_the_model_to_refuse(raw: bytes) -> None:
    try:
        list(repeated_members(raw))
    except Unreadable:
        assert not has_single_members(raw)
        with pytest.raises(Refused):
            READER.body(raw)


GOOD = st.sampled_from([account(1), account(2), phone(1)])
NOBODYS = st.sampled_from(
    [
        {"kind": "account", "value": "UNKNOWN"},
        {"kind": "account", "value": "0000000000"},
        {"kind": "phone", "value": "无"},
        {"kind": "handle", "value": "wechat:null"},
        {"kind": "device", "value": "02:00:00:00:00:00"},
        {"kind": "card", "value": "0000000000000000"},
    ]
)
MARK = "MARK4711"
BAD = st.sampled_from(
    [
        {"kind": "phone", "value": f"{MARK} 张三"},
        {"kind": "card", "value": MARK},
        {"kind": "url", "value": f"gopher://{MARK}"},
        {"kind": "url", "value": f"http://evil.example/{MARK}" + "x" * 2048},
        {"kind": "ip", "value": f"300.1.1.1/{MARK}"},
    ]
)
ROLES = st.sampled_from(["suspect", "suspect", "victim"])
NAMED = st.tuples(st.one_of(GOOD, NOBODYS, BAD), ROLES).map(lambda one: {**one[0], "role": one[1]})
SENDERS = st.tuples(st.sampled_from(["bank-001", "bank-002"]), st.sampled_from(["r-1", "r-2"]))


def sent(indicators: list[dict[str, str]], who: str = "bank-001", reference: str = "r-1") -> Any:
    raw = json.dumps({**BODY, "event": None, "indicators": indicators}, ensure_ascii=False).encode()
    body = READER.body(raw)
    return body, READER.submission(body, institution=who, reference=reference, now=T0)


def is_bad(one: dict[str, str]) -> bool:
    return MARK in one["value"]


def is_nobodys(one: dict[str, str]) -> bool:
    return not is_bad(one) and one["value"] not in {account(1)["value"], account(2)["value"], phone(1)["value"]}


@settings(max_examples=300 * FACTOR)
@given(st.lists(NAMED, min_size=1, max_size=8))
def test_a_signal_is_taken_exactly_when_some_suspect_is_not_malformed(indicators: list[dict[str, str]]) -> None:
    suspects = [one for one in indicators if one["role"] == "suspect"]
    try:
        body, found = sent(indicators)
    except Refused as refusal:
        assert all(map(is_bad, suspects)), "also when there is none"
        assert MARK not in str(refusal) + repr(refusal.faults)
        return
    assert not all(map(is_bad, suspects))
    signal = json.loads(found.value)["data"]
    assert MARK.encode() not in found.value and "张三".encode() not in found.value
    assert MARK not in str(found.advisories)
    wanted = ["malformed" if is_bad(one) else "placeholder" if is_nobodys(one) else None for one in indicators]
    assert {one.pointer: one.code for one in found.advisories if one.code in ("malformed", "placeholder")} == {
        f"/indicators/{n}": code for n, code in enumerate(wanted) if code is not None
    }
    assert found.advisories == advice(body)
    order = [(one["role"] != "suspect", one.get("unmatched") is not None) for one in signal["subjects"]]
    assert order == sorted(order), "matched suspects come first"
    assert len(signal["subjects"]) == len({(one["kind"], one["value"][:2048], one["role"]) for one in map(canonical, indicators)})


def canonical(one: dict[str, str]) -> dict[str, str]:
    body = SignalIn.model_validate({**BODY, "event": None, "indicators": [one, account(2)]})
    return {**one, "value": body.indicators[0].value}


@settings(max_examples=300 * FACTOR)
@given(st.lists(st.tuples(SENDERS, st.lists(st.one_of(GOOD, NOBODYS, BAD), min_size=1, max_size=4)), min_size=2, max_size=5))
def test_unmatched_tokens_of_two_signals_are_never_equal_but_those_of_a_resend(sendings: list[Any]) -> None:
    owner: dict[str, tuple[str, str]] = {}
    for (who, reference), indicators in sendings:
        _, found = sent([*indicators, account(2)], who, reference)
        signal = json.loads(found.value)["data"]
        matched = {one["token"] for one in signal["subjects"] if one.get("unmatched") is None}
        wanted = [one for one in [*indicators, account(2)] if good(one)]
        assert matched == {TOKENIZER.token(one["kind"], canonical(one)["value"]) for one in wanted}
        for one in signal["subjects"]:
            if one.get("unmatched") is not None:
                assert owner.setdefault(one["token"], (who, signal["content_id"])) == (who, signal["content_id"])
                assert one["token"] not in {TOKENIZER.token(each["kind"], canonical(each)["value"]) for each in indicators}


def good(one: dict[str, str]) -> bool:
    return not is_bad(one) and not is_nobodys(one)


@given(st.lists(st.one_of(GOOD, NOBODYS, BAD), min_size=1, max_size=4))
def test_a_resend_under_another_reference_has_the_content_of_the_first_and_its_subject(indicators: list[dict[str, str]]) -> None:
    try:
        first, again = (json.loads(sent(indicators, reference=name)[1].value)["data"] for name in ("r-1", "r-2"))
    except Refused:
        return
    assert first["signal_id"] != again["signal_id"]
    assert first["content_id"] == again["content_id"]
    assert [one["token"] for one in first["subjects"]] == [one["token"] for one in again["subjects"]]


def test_a_kept_value_is_read_by_those_with_a_need_and_is_bounded() -> None:
    long = f"http://evil.example/{MARK}" + "x" * 4000
    _, found = sent([{"kind": "url", "value": long}, account(1)])
    signal = json.loads(found.value)["data"]
    (kept,) = [one for one in signal["subjects"] if one.get("unmatched")]
    assert SEALER.unseal(kept["sealed"], f"{signal['signal_id']}/{kept['token']}") == long[:2048]
    with pytest.raises(Refused):
        sent([{"kind": "url", "value": "x" * (9 * 2048 + 1)}, account(1)])
