"""The small parts: the error table and its page, the OpenAPI document, readiness, pipelining, depth, lines, lag."""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import RedisError, ResponseError

from gateway.adapters.redis import Pipelining
from gateway.adapters.stage_lag import KNOWN_FOR_S, Lag
from gateway.app import ENDPOINTS
from gateway.http import docs_page as docs
from gateway.http import problem_table as problems
from gateway.http.openapi import document
from gateway.http.request_body import LineSplitter
from gateway.signals.responses import AcceptedOut, LineOut
from schemas.cases.case import Action
from stream_processors.runtime.crash_points import POINTS
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import FakeLog, FakeViews, MemoryIdempotency, lines, ndjson, signal

ROOT = Path(__file__).parents[3]
_DOMAIN = ROOT / "stream_processors" / "domain"
_OF_CASES = ("cases/*.py", "deadlines/deadlines.py", "orders/*.py", "measures.py", "dissuasion.py", "appeals.py")
CORES = sorted(path for form in _OF_CASES for path in _DOMAIN.glob(form))
"""What decides on the actions that the routes ask for."""
assert all(list(_DOMAIN.glob(form)) for form in _OF_CASES), "a part of the domain has moved: nothing of it would be looked at"
_OF_STAGES = {"not-due", "stale-run", "stale-step"}
"""What only a stage's request is refused with."""


def test_the_page_of_errors_is_the_table():
    page = ROOT / "docs" / "reference" / "errors.md"
    assert page.read_text("utf-8") == problems.render(), "python -m gateway.problems > docs/reference/errors.md"


def test_every_problem_that_the_code_names_is_declared_and_every_declared_one_is_used():
    sources = [path.read_text("utf-8") for path in sorted((ROOT / "gateway").rglob("*.py")) if path.name != "problems.py"]
    core = "\n".join(path.read_text("utf-8") for path in CORES)
    named = set(re.findall(r'(?:Problem|later)\(\s*"([a-z-]+)"', "\n".join(sources)))
    assert named <= set(problems.PROBLEMS)
    for slug in problems.PROBLEMS:
        assert any(f'"{slug}"' in text for text in [*sources, core]), slug


def test_every_refusal_of_the_cores_is_a_problem_and_a_route_declares_it():
    named = {slug for path in CORES for slug in re.findall(r'Refusal\(\s*"([a-z-]+)"', path.read_text("utf-8"))} - _OF_STAGES
    assert named and named <= set(problems.PROBLEMS), sorted(named - set(problems.PROBLEMS))
    declared = {slug for one in ENDPOINTS for slug in one.problems}
    assert named <= declared, sorted(named - declared)


def test_every_route_has_a_name_of_its_own():
    names = [one.name for one in ENDPOINTS]
    assert len(set(names)) == len(names), sorted({name for name in names if names.count(name) > 1})


def test_every_crash_point_of_the_gateway_is_in_the_code():
    text = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "gateway").rglob("*.py")))
    assert {name for name in POINTS if name.startswith("gateway.")} == set(re.findall(r'point\("(gateway\.\w+)"\)', text))


async def test_the_openapi_document_has_every_route_with_its_roles_and_no_loose_reference(client: Client):
    document = (await client("operator-1").get("/openapi.json")).json()
    assert {(path, method) for path, ways in document["paths"].items() for method in ways} == {
        (one.path, one.method.lower()) for one in ENDPOINTS
    }
    for reference in re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')):
        assert reference in document["components"]["schemas"], reference
    assert document["paths"]["/v1/queues"]["get"]["x-roles"] == ["officer"]


async def test_the_interface_is_made_once_and_not_for_each_who_asks(client: Client, monkeypatch: pytest.MonkeyPatch):
    made = []
    monkeypatch.setattr(docs, "document", lambda endpoints: made.append(1) or document(endpoints))
    first, second = [(await client("operator-1").get("/openapi.json")) for _ in range(2)]
    assert first.content == second.content and first.headers["content-type"] == "application/json"
    assert first.json()["openapi"] == "3.1.0" and made == [1]


async def test_the_page_names_every_route_and_needs_nothing_from_elsewhere(client: Client):
    page = (await client(None).get("/docs")).text
    assert all(f"{one.method} {one.path}" in page for one in ENDPOINTS)
    assert "http://" not in page and "https://" not in page and "<script" not in page


async def test_the_hot_answers_are_what_the_document_says(client: Client):
    accepted = await client().post("/v1/signals", json=signal("a"))
    TypeAdapter(AcceptedOut).validate_python(accepted.json())
    assert set(accepted.json()) == set(AcceptedOut.model_fields) - {"advisories"}
    odd = await client().post("/v1/signals", json=signal("odd", indicators=[{"kind": "card", "value": "4111111111111112"}]))
    TypeAdapter(AcceptedOut).validate_python(odd.json())
    assert set(odd.json()) == set(AcceptedOut.model_fields)
    body, headers = ndjson(signal("a"), signal("b"), b"{}"), {"content-type": "application/x-ndjson"}
    for line in lines(await client().post("/v1/signals/batch", content=body, headers=headers)):
        TypeAdapter(LineOut).validate_python(line)
        assert set(line) <= set(LineOut.model_fields)


async def test_ready_means_that_signals_are_accepted(client: Client, log: FakeLog, memory: MemoryIdempotency, views: FakeViews):
    assert (await client(None).get("/livez")).status_code == 200
    assert (await client(None).get("/readyz")).status_code == 200
    views.rebuilding = True
    answer = await client(None).get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["views"]) == (200, "views-rebuilding")
    memory.away = True
    assert (await client(None).get("/readyz")).status_code == 503
    memory.away, log.away = False, True
    assert (await client(None).get("/readyz")).status_code == 503
    assert (await client(None).get("/livez")).status_code == 200


@pytest.mark.parametrize("seed", range(20))
def test_lines_are_the_same_however_the_bytes_come(seed: int):
    dice = random.Random(seed)
    texts = [bytes(dice.choices(b"abc", k=dice.randrange(30))) for _ in range(20)]
    body, splitter, got = b"\n".join(texts), LineSplitter(20), []
    while body:
        n = dice.randrange(1, 60)
        got += splitter.feed(body[:n])
        body = body[n:]
    got += splitter.end()
    expected = [None if len(one) > 20 else one for one in texts]
    assert got == expected if texts[-1] else got == expected[:-1]


class Wire:
    """A Redis whose pipelines are counted; `fails` breaks them."""

    def __init__(self) -> None:
        self.pipelines: list[int] = []
        self.fails: Exception | None = None

    def pipeline(self, transaction: bool) -> _Pipe:
        return _Pipe(self)


class _Pipe:
    def __init__(self, wire: Wire) -> None:
        self.wire, self.commands = wire, []

    def execute_command(self, *command: Any) -> None:
        self.commands.append(command)

    async def execute(self, raise_on_error: bool) -> list[Any]:
        await asyncio.sleep(0.01)
        self.wire.pipelines.append(len(self.commands))
        if self.wire.fails:
            raise self.wire.fails
        return [ResponseError("no") if command[0] == "BAD" else command[1] for command in self.commands]


async def test_commands_of_one_moment_travel_together_and_each_gets_its_own_answer():
    wire = Wire()
    redis = Pipelining(wire)  # type: ignore[arg-type]
    answers = await asyncio.gather(*(redis.execute("GET" if n % 3 else "BAD", n) for n in range(30)), return_exceptions=True)
    assert wire.pipelines == [30]
    assert [isinstance(one, RedisError) for one in answers] == [n % 3 == 0 for n in range(30)]
    assert [one for n, one in enumerate(answers) if n % 3] == [n for n in range(30) if n % 3]


async def test_commands_that_come_while_two_pipelines_fly_form_the_next_one():
    wire = Wire()
    redis = Pipelining(wire)  # type: ignore[arg-type]
    first, waiting = [], []
    for n in range(2):
        first.append(asyncio.ensure_future(redis.execute("GET", n)))
        await asyncio.sleep(0.001)
    waiting = [asyncio.ensure_future(redis.execute("GET", n)) for n in range(50)]
    assert await asyncio.gather(*first, *waiting) == [0, 1, *range(50)]
    assert wire.pipelines == [1, 1, 50]


async def test_a_broken_pipeline_fails_all_of_its_commands_and_the_next_one_works():
    wire = Wire()
    redis = Pipelining(wire)  # type: ignore[arg-type]
    wire.fails = RedisGone("gone")
    broken = await asyncio.gather(*(redis.execute("GET", n) for n in range(3)), return_exceptions=True)
    assert all(isinstance(one, RedisError) for one in broken)
    wire.fails = None
    assert await redis.execute("GET", 7) == 7


def test_a_lag_that_was_not_refreshed_is_not_known():
    now = [0.0]
    lag = Lag(lambda: now[0])
    assert lag.current is None
    lag.set(5)
    assert lag.current == 5
    now[0] = KNOWN_FOR_S + 1
    assert lag.current is None


def test_an_action_has_every_field_that_an_officer_may_give():
    assert {"revision", "lease_s", "to_officer", "disposition", "note_sealed", "officer"} <= set(Action.model_fields)
