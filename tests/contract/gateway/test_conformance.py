"""The API does what its document says, whatever is sent: bodies, parameters and headers made from the document, good and bad.

Never a 5xx, and every answer has a status, a media type, headers and a body that the document declares for its route. The
examples follow from SEED (LIANDONG_FUZZ_SEED to choose another, LIANDONG_FUZZ_EXAMPLES to look longer).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deploy.local.tokens import ensure_keys, mint
from gateway import app as wiring
from gateway.adapters.stage_lag import Lag
from gateway.http.openapi import document
from gateway.settings import GatewaySettings
from schemas.notifications.delivery import Issued
from schemas.security import AesGcmSealer, Keyring, Tokenizer
from schemas.topics import APPRAISAL_COMMANDS
from stream_processors.runtime.log import KeyedEntry
from stream_processors.views.receipts import Receipt
from tests.support.deliveries import mark, notice
from tests.support.hooks import endpoint, registered
from tests.support.oversight import ask, campaign, oversight_record
from tests.support.scores import move, step
from tests.unit.gateway.fakes import T0, FakeLog, FakeNames, FakeRates, FakeViews, MemoryIdempotency, a_case, with_the_loop

SEED = int(os.environ.get("LIANDONG_FUZZ_SEED", "20241001"))
EXAMPLES = int(os.environ.get("LIANDONG_FUZZ_EXAMPLES", "15"))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NDJSON = "application/x-ndjson"


@schemathesis.serializer(NDJSON)
def _lines(context: Any, value: Any) -> bytes:
    rows = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(row).encode("utf-8", "replace") + b"\n" for row in rows)


@schemathesis.deserializer(NDJSON)
def _rows(context: Any, response: Any) -> Any:
    return [json.loads(line) for line in response.content.splitlines()]


def fuzzed() -> dict[str, Any]:
    """The document, with the lines of a media type of lines as a list of what one line holds."""
    told: dict[str, Any] = json.loads(json.dumps(document(wiring.ENDPOINTS)))
    for operation in [one for path in told["paths"].values() for one in path.values()]:
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            if found := part.get("content", {}).get(NDJSON):
                found["schema"] = {"type": "array", "items": found["schema"]["contentSchema"]}
                shown = found["examples"]["lines"]["value"].splitlines()
                found["examples"] = {"lines": {"value": [json.loads(line) for line in shown]}}
    return told


SCHEMA = schemathesis.openapi.from_dict(fuzzed())
STREAMS = {f"{one.method} {one.path}" for one in wiring.ENDPOINTS if one.streaming}
"""They have no end, so a fuzzer would wait for ever: tests/unit/gateway/test_live.py."""
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations() if one.ok().label not in STREAMS}
KNOWN = {
    "signal_id": "sig-known",
    "case_id": "case-1",
    "queue": "public-security-630202",
    "action_id": "act-known",
    "order_id": "ord-1-known",
    "dissuasion_id": "dissuasion-1-known",
    "appeal_id": "obj-1-known",
    "notification_id": "act-0/case-1/0",
    "endpoint_id": "hook-known",
    "number": "7K3F-0Q2M-9XVA-41BD-ZP8T",
    "year": "2025",
    "record_id": "sup-1",
    "campaign_id": "cam-1",
    "dispute_id": "d-0",
}
_HELD = ("renew", "release", "hand-over", "dispose", "split", "reopen", "close", "orders", "dissuasions", "appeals")
ALLOWED = {f"POST /v1/cases/{{case_id}}/{move}": {200, 202, 409} for move in _HELD}
_OF_ORDERS = ("answers", "approve", "reject", "withdraw", "renew")
ALLOWED |= {f"POST /v1/orders/{{order_id}}/{move}": {200, 202, 409} for move in _OF_ORDERS}
ALLOWED |= {
    f"POST /v1/dissuasions/{{dissuasion_id}}/{move}": {200, 202, 409, 422} for move in ("give-back", "give-up", "attempts")
}
_DECIDED = ("uphold", "reject", "release", "confirm")
ALLOWED |= {f"POST /v1/cases/{{case_id}}/appeals/{{appeal_id}}/{move}": {403, 409} for move in _DECIDED}
ALLOWED["POST /v1/cases/{case_id}/merge"] = ALLOWED["POST /v1/cases/{case_id}/refund"] = {404}  # of no case of his
ALLOWED["POST /v1/cases/{case_id}/measures"] = ALLOWED["POST /v1/signals/{signal_id}/measures"] = {200, 202, 409, 422}
_NOT_OF_AN_OPEN_YEAR = ("open", "disputes", "disputes/{dispute_id}/decide", "lock")
ALLOWED |= {f"POST /v1/appraisals/{{year}}/{move}": {409} for move in _NOT_OF_AN_OPEN_YEAR}
ALLOWED |= {f"POST /v1/supervisions/{{record_id}}/{move}": {409} for move in ("return", "accept")}
ALLOWED |= {f"POST /v1/data-requests/{{record_id}}/{move}": {409} for move in ("record-finding", "clear-finding")}
ALLOWED["POST /v1/cases/{case_id}/orders"] |= {404}
ALLOWED["POST /v1/signals/{signal_id}/correction"] = {404}
ALLOWED["POST /v1/webhooks"] = {201}
"""These moves need a holder, or something that came before: the officer of the test is none, the log of the fakes is at T0;
the year is open, the measure issued, the data are asked for; a return names the freeze that it returns. A signal's id
follows from the reference in its body: it is not the one in the path."""


def can_be_wrong(operation: Any) -> bool:
    raw = operation.definition.raw
    return "requestBody" in raw or any(one["in"] != "path" for one in raw.get("parameters", ())) or bool(raw["security"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    ensure_keys(folder / "fuzz")
    return folder


class Ports(NamedTuple):
    app: Any
    log: FakeLog
    memory: MemoryIdempotency
    views: FakeViews


@pytest.fixture
def ports(home: Path) -> Ports:
    """The real app over fakes that hold something to be found."""
    keyring = Keyring.generate()
    log, memory, views = FakeLog(), MemoryIdempotency(), FakeViews()
    log.told = views.apply
    for n in range(1, 40):
        keys = Tokenizer(keyring), AesGcmSealer(keyring)
        case = with_the_loop(a_case(*keys, n, score=40 + n), *keys)
        views.cases[case.case_id] = case
    views.receipts["sig-known"] = Receipt(
        signal_id="sig-known",
        outcome="assessed",
        accepted_at=T0,
        assessed_at=T0,
        institution="bank-001",
        cases=("case-1",),
    )
    views.issue(Issued(notification=notice(0)), Issued(notification=notice(1)))
    for request in (step("issue"), ask(request_id="sup-1"), campaign(), move("open", "coordination-630200")):
        _, value = oversight_record(request)
        views.apply(APPRAISAL_COMMANDS, KeyedEntry(b"", value))
    fresh = GatewaySettings(home=home, profile="fuzz", jwks=None, outcome_wait_s=0, inbox_wait_most_s=0)
    made, _ = endpoint("hook-known")
    views.register(registered(made))
    views.issue(Issued(notification=notice(7, at=T0)))
    parked = mark("parked", 7, at=T0, channel="webhook", endpoint_id="hook-known")
    views.mark(parked)
    ports = {"log": log, "memory": memory, "views": views, "lag": Lag(), "rates": FakeRates(), "resolve": FakeNames()}
    built = wiring.services(fresh, keyring=keyring, **ports)
    return Ports(wiring.create_app_over(built), log, memory, views)


@pytest.fixture
def app(ports: Ports) -> Any:
    return ports.app


def caller_of(label: str, home: Path) -> dict[str, str]:
    """The header of somebody who may."""
    roles = OPERATIONS[label].definition.raw["x-roles"]
    who = {"institution": "bank-001", "officer": "officer-1"}
    role = next((one for one in roles if one in who), roles[0] if roles else "operator")
    return {"authorization": "Bearer " + mint(who.get(role, f"{role}-1"), role=role, home=home, profile="fuzz")}


def shown_bodies(operation: Any) -> list[Any]:
    """The bodies that the document shows for it."""
    shown = next(iter(operation.definition.raw["requestBody"]["content"].values())).get("examples", {})
    named = document(wiring.ENDPOINTS)["components"]["examples"]
    return [{**named.get(one.get("$ref", "").rpartition("/")[2], {}), **one}["value"] for one in shown.values()]


def check(case: Case, known: bool, app: Any, headers: dict[str, str]) -> int:
    """Sends it, with ids that exist if `known`; the status."""
    if known and case.path_parameters:
        case.path_parameters = {name: KNOWN.get(name, value) for name, value in case.path_parameters.items()}
    response = case.call_and_validate(headers=headers, app=app, checks=CHECKS)
    return response.status_code


def whatever(label: str, mode: GenerationMode, app: Any, headers: dict[str, str]) -> None:
    operation = OPERATIONS[label]
    operation.app = app
    print(f"LIANDONG_FUZZ_SEED={SEED} LIANDONG_FUZZ_EXAMPLES={EXAMPLES}")

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def holds(case: Case, known: bool) -> None:
        check(case, known, app, headers)

    holds()


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_fits_the_document_is_answered_as_it_says(label: str, app: Any, home: Path):
    whatever(label, GenerationMode.POSITIVE, app, caller_of(label, home))


@pytest.mark.parametrize("label", [label for label, one in OPERATIONS.items() if can_be_wrong(one)])
def test_what_does_not_fit_the_document_is_answered_as_it_says(label: str, app: Any, home: Path):
    whatever(label, GenerationMode.NEGATIVE, app, caller_of(label, home))


@pytest.mark.parametrize("label", [label for label, one in OPERATIONS.items() if "requestBody" in one.definition.raw])
def test_a_body_that_the_document_shows_is_taken(label: str, app: Any, home: Path):
    operation = OPERATIONS[label]
    media, values = next(iter(operation.definition.raw["requestBody"]["content"])), shown_bodies(operation)
    assert values
    for n, value in enumerate(values):
        path = {name: f"case-{n + 1}" if name == "case_id" else KNOWN[name] for name in re.findall(r"{(\w+)}", operation.path)}
        body = value if media == NDJSON else {**value, **({"revision": 1} if "revision" in value else {})}
        case = operation.Case(path_parameters=path, body=body, media_type=media)
        assert check(case, False, app, caller_of(label, home)) in ALLOWED.get(label, {200, 202})


TROUBLES: dict[str, Callable[[FakeLog, MemoryIdempotency, FakeViews], None]] = {
    "the log is away": lambda log, memory, views: setattr(log, "away", True),
    "appended, but not acknowledged": lambda log, memory, views: setattr(log, "uncertain", True),
    "the memory is away": lambda log, memory, views: setattr(memory, "away", True),
    "the views are being rebuilt": lambda log, memory, views: setattr(views, "views-rebuilding", True),
    "the views are away": lambda log, memory, views: setattr(views, "_here", _away),
}


def _away() -> None:
    raise RedisConnectionError("away")


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("label", OPERATIONS)
def test_trouble_of_our_neighbours_is_answered_as_documented(label: str, trouble: str, ports: Ports, home: Path):
    TROUBLES[trouble](ports.log, ports.memory, ports.views)
    operation = OPERATIONS[label]
    path = {name: KNOWN[name] for name in re.findall(r"{(\w+)}", operation.path)}
    more = {}
    if content := operation.definition.raw.get("requestBody", {}).get("content"):
        more = {"media_type": next(iter(content)), "body": shown_bodies(operation)[0]}
    case = operation.Case(path_parameters=path, **more)
    response = case.call(headers=caller_of(label, home), app=ports.app)
    assert response.status_code != 500
    case.validate_response(response, checks=[one for one in CHECKS if one is not not_a_server_error])


def test_the_checks_see_what_the_document_does_not_say(app: Any, home: Path):
    """The same, with a document that is not true: another status, another member."""
    told = fuzzed()
    told["paths"]["/v1/queues"]["get"]["responses"] = {"201": {"description": ""}}
    told["components"]["schemas"]["ReadyOut"]["properties"]["ready"] = {"type": "string"}
    found = {one.ok().label: one.ok() for one in schemathesis.openapi.from_dict(told).get_all_operations()}
    for label, wrong in (("GET /v1/queues", "Undocumented status code"), ("GET /readyz", "violates schema")):
        found[label].app = app
        with pytest.raises(FailureGroup, match=wrong):
            check(found[label].Case(), False, app, caller_of(label, home))
