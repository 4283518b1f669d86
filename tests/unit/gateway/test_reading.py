"""What every body has in common: single members, exact numbers, a mark before UTF-8; and what is said of one that was taken."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway.adapters.policy_watch import follow_policy
from gateway.app import ENDPOINTS
from gateway.services import Services
from schemas.codec import decode
from schemas.parsing import Refused, read
from schemas.signals.indicators import IndicatorKind
from schemas.topics import SUBMITTED
from stream_processors.runtime.policy_file import PolicyFile
from stream_processors.runtime.settings import SHIPPED_POLICY
from tests.support.builders import account
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import FakeLog, lines, ndjson, signal

EXAMPLES = Path("schemas/examples/http")
BODIES = sorted({one.body for one in ENDPOINTS if one.body is not None}, key=lambda model: model.__name__)
NDJSON = {"content-type": "application/x-ndjson"}
JSON = {"content-type": "application/json"}
ODD = [{"kind": "account", "value": "UNKNOWN"}, {"kind": "phone", "value": "secret-4711"}, account(1)]


def example(model: type[BaseModel]) -> dict[str, Any]:
    prefix = "signal" if model.__name__ == "SignalIn" else model.__name__
    found: dict[str, Any] = json.loads(sorted(EXAMPLES.glob(f"{prefix}.*.json"))[0].read_text("utf-8"))
    return found


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
def test_every_body_is_read_whole_and_refused_with_a_member_twice(model: type[BaseModel]) -> None:
    given = example(model)
    raw = json.dumps(given).encode()
    assert read(model, raw, "invalid-request", 16) == read(model, b"\xef\xbb\xbf" + raw, "invalid-request", 16)
    for name, value in given.items():
        twice = raw[:-1] + f', "\\u{ord(name[0]):04x}{name[1:]}": {json.dumps(value)}}}'.encode()
        with pytest.raises(Refused) as found:
            read(model, twice, "invalid-request", 16)
        assert [one.pointer for one in found.value.faults or ()] == [f"/{name}"]


def numbers(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, int) and not isinstance(value, bool):
        return [at]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for name, one in inner for place in numbers(one, (*at, name))]


def times(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, str):
        return [at] if re.match(r"20\d\d-\d\d-\d\dT", value) else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for name, one in inner for place in times(one, (*at, name))]


def put(value: Any, at: tuple[Any, ...], other: Any) -> Any:
    if not at:
        return other
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    changed = {name: put(one, at[1:], other) if name == at[0] else one for name, one in inner}
    return changed if isinstance(value, dict) else list(changed.values())


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
def test_in_no_body_a_truth_a_text_or_a_fraction_is_a_whole_number_nor_a_number_a_time(model: type[BaseModel]) -> None:
    given = example(model)
    for at in numbers(given):
        for other in (True, "1", 1.0):
            with pytest.raises(Refused):
                read(model, json.dumps(put(given, at, other)).encode(), "invalid-request", 16)
    for at in times(given):
        for other in (1767225600, "1767225600"):
            with pytest.raises(Refused):
                read(model, json.dumps(put(given, at, other)).encode(), "invalid-request", 16)
    raw = json.dumps(given)
    if model.__name__ == "SignalIn":
        for version in ("true", "1.000000000000000005", '"2"'):
            with pytest.raises(Refused, match="/version: Input should be a valid integer"):
                read(model, raw.replace("{", f'{{"version": {version}, ', 1).encode(), "invalid-signal", 16)


@pytest.mark.parametrize("moment", [1767225600, "1767225600", 1767225600000, 1.7e9])
async def test_a_count_of_seconds_is_no_time(client: Client, moment: Any):
    answer = await client().post("/v1/signals", json=signal(occurred_at=moment))
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault == {
        "pointer": "/occurred_at",
        "detail": "a time requires an offset, for example 2026-03-01T08:00:00+08:00",
    }


def test_no_code_of_the_gateway_reads_a_body_past_the_one_reader() -> None:
    """What is read elsewhere is the gateway's own memory, or a key or token, which a signature covers."""
    readers = ("json.loads(", "validate_json(", "from_json(")
    found = {path.as_posix() for path in Path("gateway").rglob("*.py") if any(one in path.read_text() for one in readers)}
    assert found == {
        "gateway/security/auth.py",
        "gateway/security/jwks.py",
        "gateway/commands/case_commands.py",
        "gateway/http/pagination.py",
        "gateway/http/openapi.py",
    }


async def test_a_mark_before_the_first_line_of_a_batch_says_nothing(client: Client):
    body = b"\xef\xbb\xbf" + ndjson(signal("a"), signal("b"))
    results = lines(await client().post("/v1/signals/batch", content=body, headers=NDJSON))
    assert [one["status"] for one in results] == [202, 202]


async def test_a_line_with_a_member_twice_is_refused_and_its_neighbours_are_taken(client: Client, log: FakeLog):
    twice = json.dumps(signal("b"))[:-1].encode() + b', "kind": "telecom_fraud"}'
    results = lines(await client().post("/v1/signals/batch", content=ndjson(signal("a"), twice, signal("c")), headers=NDJSON))
    assert [one["status"] for one in results] == [202, 422, 202]
    assert results[1]["problem"]["errors"][0]["pointer"] == "/kind"


async def test_what_is_said_of_a_signal_is_said_of_a_line_and_of_each_repetition(client: Client):
    first = (await client().post("/v1/signals", json=signal(indicators=ODD))).json()
    again = await client().post("/v1/signals", json=signal(indicators=ODD))
    line, second = lines(
        await client().post(
            "/v1/signals/batch", content=ndjson(signal(indicators=ODD), signal("b", indicators=ODD)), headers=NDJSON
        )
    )
    assert [(one["pointer"], one["code"]) for one in first["advisories"]] == [
        ("/indicators/0", "placeholder"),
        ("/indicators/1", "malformed"),
    ]
    assert again.headers["idempotency-replayed"] == "true" and line["replayed"] is True
    assert again.json()["advisories"] == line["advisories"] == second["advisories"] == first["advisories"]
    assert "13800001234" in first["advisories"][1]["detail"], "what would be right"
    assert "4711" not in json.dumps(first)
    plain = (await client().post("/v1/signals", json=signal("c"))).json()
    assert "advisories" not in plain


async def test_the_same_thing_twice_is_taken_once(client: Client, log: FakeLog):
    spelt = [{"kind": "phone", "value": one} for one in ("13800001234", "+86 138 0000 1234")]
    assert (await client().post("/v1/signals", json=signal(indicators=spelt))).status_code == 202
    assert len(decode(SUBMITTED, log.all(SUBMITTED)[0].value).data.subjects) == 1


async def test_a_search_is_told_which_member_is_wrong_and_how(client: Client):
    answer = await client("officer-a", role="officer").post("/v1/search", json={"kind": "phone", "value": "12"})
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/value" and not fault["detail"].startswith("Value error")


async def test_what_can_be_got_can_be_asked_after_without_its_body(client: Client):
    for path in ("/livez", "/openapi.json", "/tips", "/v1/signals/sig-unknown"):
        head, got = await client().head(path), await client().get(path)
        assert (head.status_code, head.headers["content-length"]) == (got.status_code, got.headers["content-length"]), path
        assert head.content == b"" != got.content
    assert (await client().head("/v1/signals")).status_code == 405


async def test_the_policys_own_placeholders_are_matched_with_nothing_from_the_moment_it_lists_them(
    client: Client, services: Services, log: FakeLog, tmp_path: Path
):
    path = tmp_path / "policy.yaml"
    path.write_text(SHIPPED_POLICY.read_text("utf-8"), "utf-8")
    following = asyncio.create_task(follow_policy(PolicyFile(path), services.take_policy, 0.01))
    before = await client().post("/v1/signals", json=signal("a", indicators=[account(7)]))
    listed = f'placeholders:\n  account: ["{account(7)["value"]}"]\n'
    draft = path.with_suffix(".draft")
    text = SHIPPED_POLICY.read_text("utf-8")
    draft.write_text(text[: text.index("placeholders:")] + listed + text[text.index("window_s:") :], "utf-8")
    draft.rename(path)
    async with asyncio.timeout(5):
        while IndicatorKind.ACCOUNT not in services.policy.placeholders:  # noqa: ASYNC110  a file has no event
            await asyncio.sleep(0.01)
    path.write_text("not: a policy", "utf-8")
    await asyncio.sleep(0.05)
    after = await client().post("/v1/signals", json=signal("b", indicators=[account(7)]))
    following.cancel()
    assert "advisories" not in before.json()
    assert [one["code"] for one in after.json()["advisories"]] == ["placeholder"]
    signals = {signal.signal_id: signal for signal in (decode(SUBMITTED, one.value).data for one in log.all(SUBMITTED))}
    first, second = (signals[answer.json()["signal_id"]].primary for answer in (before, after))
    assert (first.unmatched, second.unmatched) == (None, "placeholder") and first.token != second.token
