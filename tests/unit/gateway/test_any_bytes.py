"""Whatever bytes are posted, the answer is never a 5xx and always a problem or a receipt."""

from __future__ import annotations

import asyncio
import copy
import functools
import gzip
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.local.tokens import ensure_keys, mint
from gateway import app as wiring
from gateway.adapters.stage_lag import Lag
from gateway.http.caller import Role
from gateway.http.openapi import examples_of
from gateway.settings import GatewaySettings
from schemas.security import Keyring
from tests.support import examples
from tests.unit.gateway.fakes import (
    QUEUE,
    FakeLog,
    FakeNames,
    FakeRates,
    FakeViews,
    MemoryIdempotency,
    a_case,
    signal,
    with_the_loop,
)

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


EVENTS = [json.loads(path.read_bytes())["event"] for path in sorted((examples.ROOT / "http").glob("signal.*.*.json"))]


@st.composite
def _nearly(draw: st.DrawFn) -> bytes:
    """A valid body with one member replaced, or one byte."""
    body = signal("r", typology="romance", stage="paid", detected_at="2026-03-02T16:00:00+08:00", loss={"minor": 5})
    body["event"] = copy.deepcopy(draw(st.sampled_from(EVENTS)))
    inner = [f"event.{name}" for name in body["event"]] + ["event.extra"]
    where = draw(st.sampled_from([*body, "indicators.0.value", "indicators.1.kind", "derived_from", "extra", *inner]))
    *path, last = where.split(".")
    place: Any = body
    for name in path:
        place = place[int(name) if name.isdigit() else name]
    place[last] = draw(_json)
    raw = bytearray(json.dumps(body).encode())
    if draw(st.booleans()):
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    return bytes(raw)


BODIES = st.one_of(st.binary(max_size=300), _json.map(lambda one: json.dumps(one).encode()), _nearly())
TYPES = st.sampled_from(["application/json", "application/x-ndjson", "text/plain", "application/json; charset=latin-1"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    ensure_keys(folder / "fuzz")
    return folder


@pytest.fixture(scope="module")
def app(home: Path):
    log, views = FakeLog(), FakeViews()
    log.told = views.apply
    built = wiring.services(
        GatewaySettings(home=home, profile="fuzz", outcome_wait_s=0.05),
        keyring=Keyring.generate(),
        log=log,
        memory=MemoryIdempotency(),
        views=views,
        lag=Lag(),
        rates=FakeRates(),
        resolve=FakeNames(),
    )
    views.cases["case-1"] = with_the_loop(a_case(built.tokenizer, built.sealer), built.tokenizer, built.sealer)
    return wiring.create_app_over(built)


@functools.cache
def token(subject: str, home: Path) -> str:
    return "Bearer " + mint(subject, home=home, profile="fuzz")


def send(app, home: Path, subject: str, url: str, body: bytes, headers: dict[str, bytes]) -> httpx.Response:
    async def go() -> httpx.Response:
        bearer = {"authorization": token(subject, home)}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
            return await client.post(url, content=body, headers=list({**bearer, **headers}.items()))

    return asyncio.run(go())


relaxed = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(body=BODIES, media=TYPES, key=st.none() | st.binary(max_size=20).filter(lambda raw: b"\n" not in raw and b"\r" not in raw))
def test_a_signal(app, home: Path, body: bytes, media: str, key: bytes | None):
    headers: dict = {"content-type": media, **({"idempotency-key": key} if key is not None else {})}
    answer = send(app, home, "bank-001", "/v1/signals", body, headers)
    assert answer.status_code < 500
    assert answer.status_code == 202 or answer.headers["content-type"] == "application/problem+json"


@relaxed
@given(parts=st.lists(BODIES, max_size=4), zipped=st.sampled_from([None, "whole", "cut", "none"]))
def test_a_batch(app, home: Path, parts: list[bytes], zipped: str | None):
    body = b"\n".join(parts)
    headers: dict = {"content-type": "application/x-ndjson"}
    if zipped is not None:
        headers["content-encoding"] = "gzip"
        body = {"whole": gzip.compress(body), "cut": gzip.compress(body)[:-5], "none": body}[zipped]
    answer = send(app, home, "bank-001", "/v1/signals/batch", body, headers)
    assert answer.status_code == 200
    for line in answer.content.splitlines():
        assert json.loads(line)["status"] < 500


@relaxed
@given(body=BODIES, move=st.sampled_from(["claim", "renew", "release", "hand-over", "dispose"]), media=TYPES)
def test_a_move(app, home: Path, body: bytes, move: str, media: str):
    answer = send(app, home, "officer-1", f"/v1/cases/case-1/{move}", body, {"content-type": media})  # type: ignore[dict-item]
    assert answer.status_code < 500


MOVES = [
    one
    for one in wiring.ENDPOINTS
    if one.method == "POST" and one.body is not None and one.body_media == "application/json" and "{" in one.path
]
PARTS = {"case_id": "case-1", "order_id": "ord-1-known", "dissuasion_id": "dissuasion-1-known", "appeal_id": "obj-1-known"}


@st.composite
def _nearly_shown(draw: st.DrawFn, shown: dict[str, Any]) -> bytes:
    """A body that the documents show, with one member replaced, or one byte."""
    body = copy.deepcopy(shown)
    if body:
        body[draw(st.sampled_from(list(body)))] = draw(_json)
    raw = bytearray(json.dumps(body).encode())
    if draw(st.booleans()):
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    return bytes(raw)


@relaxed
@given(data=st.data(), endpoint=st.sampled_from(MOVES), media=TYPES)
def test_whatever_is_posted_about_something(app, home: Path, data: st.DataObject, endpoint: Any, media: str):
    """Every route that takes a body about a thing in its path, whatever routes there are."""
    shown = list(examples_of(endpoint.body).values())
    body = data.draw(st.one_of(BODIES, *(_nearly_shown(one) for one in shown)))
    path = re.sub(r"{(\w+)}", lambda found: PARTS.get(found[1], "x"), endpoint.path)
    who = "bank-001" if Role.INSTITUTION in endpoint.roles and data.draw(st.booleans()) else "officer-1"
    answer = send(app, home, who, path, body, {"content-type": media})  # type: ignore[dict-item]
    assert answer.status_code < 500, answer.text
    assert answer.status_code < 300 or answer.headers["content-type"] == "application/problem+json"


@relaxed
@given(text=st.text(max_size=40))
def test_a_path_and_a_query(app, home: Path, text: str):
    async def go() -> None:
        officer, bank = ({"authorization": token(name, home)} for name in ("officer-1", "bank-001"))
        part = quote(text.encode("utf-8", "surrogatepass"), safe="")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=officer) as client:
            for url in (
                f"/v1/queues/{part}/cases",
                f"/v1/queues/{QUEUE}/cases?cursor={part}",
                f"/v1/cases/{part}",
                f"/v1/actions/{part}",
                f"/v1/orders/{part}",
                f"/v1/dissuasions/{part}",
                f"/v1/cases/case-1/appeals/{part}",
            ):
                assert (await client.get(url)).status_code < 500
                assert (await client.get(url, headers=bank)).status_code < 500
            assert (await client.get(f"/v1/signals/{part}", headers=bank)).status_code < 500

    asyncio.run(go())
