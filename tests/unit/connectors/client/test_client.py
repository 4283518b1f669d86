"""The clients: what they retry and what not, with which words they give up, and that both do the same."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.client import (
    AsyncClient,
    Backoff,
    Client,
    ClientError,
    Forbidden,
    InvalidSignal,
    NotFound,
    ProblemError,
    ReferenceReused,
    RetryPolicy,
    Signal,
    StillPending,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from schemas.signals.submission import SignalIn
from tests.unit.connectors.client.conftest import Served
from tests.unit.gateway.fakes import signal

Reply = Callable[[httpx.Request], httpx.Response]
RECEIPT = {
    "signal_id": "sig-1",
    "status": "accepted",
    "accepted_at": "2026-03-02T08:00:00.000Z",
    "receipt": "k1.7",
    "links": {"self": "/v1/signals/sig-1"},
    "a_field_of_tomorrow": 1,
}
PENDING = {"signal_id": "sig-1", "status": "accepted", "pending": True, "accepted_at": "2026-03-02T08:00:00Z"}
ASSESSED = {**PENDING, "pending": False, "outcome": "assessed", "assessed_at": "2026-03-02T08:00:01Z", "routed": True}
NO_WAIT = RetryPolicy(Backoff(0.0, 0.0))


def problem(status: int, slug: str, headers: dict[str, str] | None = None, **more: Any) -> Reply:
    body = {"type": f"urn:liandong:problem:{slug}", "title": slug, "status": status, "detail": "why", **more}
    return lambda request: httpx.Response(status, json=body, headers=headers)


def fails(error: Exception) -> Reply:
    def reply(request: httpx.Request) -> httpx.Response:
        raise error

    return reply


def good(body: Any, status: int = 200, **headers: str) -> Reply:
    return lambda request: httpx.Response(status, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Script:
    """Answers by a list, the last one for ever; `call` runs one call of the client of its kind."""

    def __init__(self, kind: str, *replies: Reply) -> None:
        self.kind, self.replies = kind, list(replies)
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []
        self.tokens = itertools.count()

    def answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        return (self.replies.pop(0) if len(self.replies) > 1 else self.replies[0])(request)

    def call(self, name: str, *args: Any, patience: RetryPolicy = NO_WAIT, **more: Any) -> Any:
        transport = httpx.MockTransport(self.answer)
        if self.kind == "sync":
            http = httpx.Client(transport=transport, base_url="http://gateway")
            with Client("", self._token, http=http, patience=patience, sleep=self.waits.append) as client:
                found = getattr(client, name)(*args, **more)
                return list(found) if name == "send_many" else found
        return asyncio.run(self._call(transport, name, args, patience, more))

    async def _call(self, transport: Any, name: str, args: Any, patience: RetryPolicy, more: Any) -> Any:
        http = httpx.AsyncClient(transport=transport, base_url="http://gateway")

        async def token() -> str:
            return self._token()

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        async with AsyncClient("", token, http=http, patience=patience, sleep=sleep) as client:
            found = getattr(client, name)(*args, **more)
            return [one async for one in found] if name == "send_many" else await found

    def _token(self) -> str:
        return f"token-{next(self.tokens)}"


@pytest.fixture(params=["sync", "async"])
def script(request: pytest.FixtureRequest) -> Callable[..., Script]:
    return lambda *replies: Script(request.param, *replies)


TROUBLE = {
    "429": problem(429, "rate"),
    "503": problem(503, "log-unavailable"),
    "500": problem(500, "internal"),
    "502": lambda request: httpx.Response(502, text="<html>"),
    "request-in-progress": problem(409, "request-in-progress"),
    "refused": fails(httpx.ConnectError("x")),
    "timeout": fails(httpx.ReadTimeout("x")),
    "cut": fails(httpx.RemoteProtocolError("x")),
    "undecodable": fails(httpx.DecodingError("x")),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_that_passes_is_tried_again_with_the_same_body(script, trouble):
    run = script(trouble, trouble, good(RECEIPT, 202))
    receipt = run.call("send", signal())
    assert (receipt.signal_id, receipt.receipt, receipt.replayed) == ("sig-1", "k1.7", False)
    assert receipt.accepted_at == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert len({request.content for request in run.requests}) == 1
    assert [request.headers["authorization"] for request in run.requests] == [f"Bearer token-{n}" for n in range(3)]


def test_a_signal_is_taken_back_by_its_reference_through_trouble(script):
    run = script(TROUBLE["503"], good(RECEIPT, 202))
    assert run.call("retract", "B001-17", "entered twice").signal_id == "sig-1"
    assert {request.url.path for request in run.requests} == {"/v1/retractions"}
    assert [json.loads(request.content) for request in run.requests] == [{"reference": "B001-17", "reason": "entered twice"}] * 2
    with pytest.raises(ValueError, match="reason"):
        run.call("retract", "B001-17", "")


async def test_the_gateway_takes_a_retraction_of_the_client(served: Served):
    with Client(served.url, served.token("bank-001")) as client:
        first, again = client.retract("B001-17", "entered twice"), client.retract("B001-17", "entered twice")
    assert first.receipt == again.receipt and (first.replayed, again.replayed) == (False, True)


REFUSALS = [
    (401, "unauthenticated", Unauthenticated),
    (403, "forbidden", Forbidden),
    (404, "not-found", NotFound),
    (409, "stale-revision", ProblemError),
    (413, "body-too-large", TooLarge),
    (415, "unsupported-media-type", ProblemError),
    (422, "invalid-signal", InvalidSignal),
    (422, "reference-reused", ReferenceReused),
    (400, "", ProblemError),
    (302, "", ProblemError),
]


@pytest.mark.parametrize(("status", "slug", "error"), REFUSALS)
def test_what_no_retry_can_help_is_a_typed_error_at_once(script, status, slug, error):
    run = script(problem(status, slug, errors=[{"pointer": "/region", "detail": "no code"}]))
    with pytest.raises(error, match="/region: no code") as caught:
        run.call("send", signal())
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.slug, caught.value.faults) == (status, slug, (("/region", "no code"),))
    assert (len(run.requests), run.waits) == (1, [])
    assert "token-" not in str(caught.value)


@pytest.mark.parametrize(("scheme", "token"), [("", "secret"), ("http://", "secret\nand more")], ids=["no scheme", "bad token"])
async def test_what_can_never_be_sent_is_said_at_once_and_without_the_token(served: Served, scheme: str, token: str):
    url = scheme + served.url.removeprefix("http://")
    with Client(url, token) as client, pytest.raises(ClientError, match="cannot be sent") as caught:
        client.send(signal())  # type: ignore[arg-type]
    async with AsyncClient(url, token) as other:
        with pytest.raises(ClientError, match="cannot be sent"):
            await other.send(signal())  # type: ignore[arg-type]
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_retry_after_is_kept_and_the_waits_grow(script):
    run = script(problem(503, "overloaded", {"retry-after": "7"}), *[problem(503, "overloaded")] * 3, good(RECEIPT))
    run.call("send", signal(), patience=RetryPolicy(Backoff(1.0, 60.0, uniform=lambda low, high: high)))
    assert run.waits == [7.25, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("call", ["send", "send_many"])
def test_it_gives_up_after_the_tries_that_were_wanted_and_says_why(script, call):
    run = script(problem(503, "log-unavailable"))
    with pytest.raises(Unavailable, match="gave up after 3 tries: 503 log-unavailable: why"):
        run.call(call, signal() if call == "send" else [signal()], patience=RetryPolicy(Backoff(0, 0), give_up_after=3))
    assert len(run.requests) == 4


def test_what_is_not_a_gateway_is_said_and_not_a_crash(script):
    with pytest.raises(ClientError, match="not a gateway's"):
        script(lambda request: httpx.Response(200, text="<html>")).call("send", signal())


def batch(request: httpx.Request) -> httpx.Response:
    raw = gzip.decompress(request.content) if request.headers.get("content-encoding") == "gzip" else request.content
    lines = []
    for number, text in enumerate(raw.splitlines(), 1):
        body = json.loads(text)
        if body["region"] == "bad":
            told = {"status": 422, "problem": {"type": "urn:liandong:problem:invalid-signal", "title": "no", "detail": "region"}}
        else:
            told = {"status": 202, **{k: RECEIPT[k] for k in ("signal_id", "accepted_at", "receipt")}}
        lines.append(json.dumps({"line": number, **told}))
    return httpx.Response(200, text="\n".join(lines))


def test_many_go_in_compressed_batches_and_come_back_in_order_with_their_references(script):
    run = script(batch)
    signals = [signal(f"r{n}", region="bad" if n == 4 else "630202") for n in range(14)]
    answers = run.call("send_many", iter(signals), batch=6)
    assert [one.reference for one in answers] == [f"r{n}" for n in range(14)]
    assert [one.reference for one in answers if not one.accepted] == ["r4"]
    assert answers[4].reason == "no: region"
    assert len(run.requests) == 3
    assert run.requests[1].headers["content-encoding"] == "gzip"


def test_one_small_signal_of_many_is_not_compressed(script):
    run = script(batch)
    run.call("send_many", [{"reference": "r", "region": "630202"}])
    assert "content-encoding" not in run.requests[0].headers


@pytest.mark.parametrize("call", ["send", "send_many"])
def test_a_signal_without_a_reference_is_not_sent(script, call):
    run = script(batch)
    with pytest.raises(ValueError, match="reference"):
        run.call(call, signal(None) if call == "send" else [signal(), signal(None)])
    assert run.requests == []


def test_waiting_asks_until_the_signal_is_assessed_whatever_comes_between(script):
    run = script(
        good(PENDING), problem(503, "views-rebuilding"), fails(httpx.ReadTimeout("x")), problem(404, "not-found"), good(ASSESSED)
    )
    outcome = run.call("wait", "sig-1")
    assert (outcome.outcome, outcome.routed, outcome.pending) == ("assessed", True, False)
    assert len(run.requests) == 5


def test_waiting_ends_in_time_also_when_the_gateway_asks_for_an_hour(script):
    run = script(good(PENDING), problem(503, "overloaded", {"retry-after": "3600"}))
    with pytest.raises(StillPending) as caught:
        run.call("wait", "sig-1", timeout_s=0.05)
    assert caught.value.last is not None and caught.value.last.pending
    assert max(run.waits) <= 0.05


@pytest.mark.parametrize(("reply", "error"), [(problem(404, "not-found"), NotFound), (good(PENDING), StillPending)])
def test_a_signal_that_stays_unknown_or_pending_is_said_to_be(script, reply, error):
    with pytest.raises(error):
        script(reply).call("wait", "sig-1", timeout_s=0.02)


def test_an_id_cannot_lead_to_another_path(script):
    run = script(good(PENDING))
    run.call("outcome", "../queues?x")
    assert run.requests[0].url.raw_path == b"/v1/signals/..%2Fqueues%3Fx"


def test_times_and_texts_arrive_as_they_were_meant(served: Served):
    given: Signal = {**signal("moment"), "occurred_at": datetime(2026, 3, 2, 8, tzinfo=UTC)}  # type: ignore[typeddict-item]
    with Client(served.url, served.token("bank-001")) as client:
        receipt = client.send(given)
        assert client.outcome(receipt.signal_id).outcome == "assessed"
        again = client.send({**given, "occurred_at": "2026-03-02T16:00:00+08:00"})  # type: ignore[typeddict-item]
        assert again.replayed and again.receipt == receipt.receipt
        with pytest.raises(ReferenceReused):
            client.send({**given, "narrative": "other"})  # type: ignore[typeddict-item]
        with pytest.raises(NotFound):
            client.outcome("sig-of-another")
    with Client(served.url, "no token") as stranger, pytest.raises(Unauthenticated):
        stranger.send(given)


def test_a_gateway_that_comes_back_gets_the_signal_once(served: Served):
    """The acknowledgement is lost: the client cannot know, sends again, and the stages see one signal id twice at most."""
    served.log.uncertain = True
    told: list[str] = []

    def back(seconds: float) -> None:
        served.log.uncertain = False

    with Client(served.url, served.token("bank-001"), patience=RetryPolicy(told=told.append), sleep=back) as client:
        receipt = client.send(signal("doubt"))
    assert "503" in told[0]
    assert served.references() == ["doubt", "doubt"]
    assert client is not None and receipt.signal_id in served.views.receipts


def test_what_looks_odd_is_told_of_one_signal_and_of_each_of_many(served: Served):
    named = [{"kind": "account", "value": "6222021001012345"}, {"kind": "phone", "value": "见附件"}]
    odd = {**signal("odd"), "indicators": named}
    with Client(served.url, served.token("bank-001")) as client:
        receipt = client.send(odd)  # type: ignore[arg-type]
        again, plain = client.send_many([odd, signal("plain")])  # type: ignore[list-item]
    assert [(one.pointer, one.code) for one in receipt.advisories] == [("/indicators/1", "malformed")]
    assert again.replayed and again.advisories == receipt.advisories
    assert plain.accepted and plain.advisories == ()


def test_the_clients_type_of_a_signal_has_the_gateways_members():
    assert set(Signal.__annotations__) == set(SignalIn.model_fields)
