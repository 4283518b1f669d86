"""The client in the loop, against the real gateway app: measures, orders and their answers, dissuasions, feedback."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from connectors.client import AsyncClient, Backoff, Client, NotFound, ProblemError, RetryPolicy, Unavailable
from schemas.security import AesGcmSealer, Keyring, Tokenizer
from schemas.topics import CASE_COMMANDS
from stream_processors.views.receipts import Receipt
from tests.unit.connectors.client.conftest import Served
from tests.unit.gateway.fakes import T0, a_case, with_the_loop

WARNED = {"kind": "warned", "reference": "w-1", "done_at": T0, "channel": "call", "reaction": "heeded"}
FIELDS = ["name", "account", "amount", "time"]
TRY = {"channel": "call", "done_at": T0, "result": "convinced", "prevented_loss_minor": 5}
NO_WAIT = RetryPolicy(Backoff(0.0, 0.0))


@pytest.fixture
def case(served: Served) -> Served:
    keys = Tokenizer(Keyring.generate()), AesGcmSealer(Keyring.generate())
    served.views.cases["case-1"] = with_the_loop(a_case(*keys), *keys)
    known = {"outcome": "assessed", "institution": "bank-001", "cases": ("case-1",)}
    served.views.receipts["sig-1"] = Receipt(signal_id="sig-1", accepted_at=T0, assessed_at=T0, **known)
    return served


def test_an_institution_warns_answers_and_hears_what_came_of_it(case: Served):
    with Client(case.url, case.token("bank-001")) as client:
        (measure,) = client.measure("sig-1", WARNED)
        assert (measure.case_id, measure.kind, measure.late) == ("case-1", "warned", False)
        assert client.measure("sig-1", WARNED) == [measure]
        order = client.order("ord-1-known")
        assert (order.kind, order.amount_minor, order.allowed_transitions[0]) == ("stop_payment", 100, "received")
        verified = client.answer("ord-1-known", {"result": "verified", "verified_fields": FIELDS}, key="mine")
        assert client.answer("ord-1-known", {"result": "verified", "verified_fields": FIELDS}, key="mine") == verified
        executed = client.answer("ord-1-known", {"result": "executed", "amount_minor": 60})
        assert (executed.state, executed.held_minor) == ("executed", 60)
        with pytest.raises(ProblemError) as caught:
            client.answer("ord-1-known", {"result": "executed", "amount_minor": 60})
        assert (caught.value.status, caught.value.problem["allowed_transitions"]) == (409, [])
        (told,) = client.outcome("sig-1").feedback
        assert (told.actions_taken, told.prevented_loss_minor) == (("stop_payment", "warned"), {"CNY": 60})
        with pytest.raises(NotFound):
            client.order("ord-1-none")
    assert len(case.log.all(CASE_COMMANDS)) == 4, "the last one was asked, and refused"


async def test_a_dissuasion_is_taken_tried_and_given_back_or_up(case: Served):
    async with AsyncClient(case.url, case.token("bank-001")) as client:
        assert (await client.dissuasion("dissuasion-1-known")).allowed_transitions == ["take", "attempts"]
        assert (await client.work("dissuasion-1-known", "take")).taken_by == "bank-001"
        assert (await client.work("dissuasion-1-known", "give-back")).taken is False
        done = await client.work("dissuasion-1-known", "attempts", TRY)
        assert (done.state, done.outcome) == ("dissuaded", "dissuaded")


def test_a_measure_without_a_reference_is_not_sent(case: Served):
    with Client(case.url, case.token("bank-001")) as client, pytest.raises(ValueError, match="reference"):
        client.measure("sig-1", {**WARNED, "reference": ""})
    assert not case.log.all(CASE_COMMANDS)


class Script:
    """Answers by a list, the last one for ever."""

    def __init__(self, *replies: tuple[int, dict[str, Any], dict[str, str]]) -> None:
        self.replies, self.requests = list(replies), list[httpx.Request]()

    def answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        status, body, headers = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return httpx.Response(status, json=body, headers=headers)

    def client(self, patience: RetryPolicy = NO_WAIT) -> Client:
        http = httpx.Client(transport=httpx.MockTransport(self.answer), base_url="http://gateway")
        return Client("", "token", http=http, patience=patience, sleep=lambda seconds: None)


PENDING = (202, {"action_id": "act-1", "status": "pending"}, {"retry-after": "0"})
ORDER = (200, {"order_id": "ord-1", "case_id": "case-1", "kind": "freeze", "state": "executed", "agency": "a", "basis": "b"}, {})
LATER = (
    409,
    {"type": "urn:liandong:problem:signal-without-case", "title": "no case", "detail": "on its way"},
    {"retry-after": "0"},
)
NEVER = (409, {"type": "urn:liandong:problem:signal-without-case", "title": "no case", "detail": "none"}, {})
MEASURED: dict[str, Any] = {"measures": []}


def test_what_is_not_decided_yet_is_asked_again_under_the_same_key():
    run = Script(PENDING, PENDING, ORDER)
    assert run.client().answer("ord-1", {"result": "received"}).state == "executed"
    assert len({(one.headers["idempotency-key"], one.content) for one in run.requests}) == 1 < len(run.requests)


def test_two_answers_are_two_requests_unless_they_have_one_key():
    run = Script(ORDER)
    for key in (None, None, "mine", "mine"):
        run.client().answer("ord-1", {"result": "received"}, key=key)
    assert len({one.headers["idempotency-key"] for one in run.requests}) == 3


def test_what_stays_undecided_is_said_after_the_tries():
    run = Script(PENDING)
    with pytest.raises(Unavailable, match="not decided yet"):
        run.client(RetryPolicy(Backoff(0, 0), give_up_after=3)).answer("ord-1", {"result": "received"})


def test_a_case_on_its_way_is_waited_for_and_one_that_never_comes_is_not():
    run = Script(LATER, (200, MEASURED, {}))
    assert run.client().measure("sig-1", WARNED) == []
    with pytest.raises(ProblemError, match="none"):
        Script(NEVER).client().measure("sig-1", WARNED)


def test_an_id_cannot_lead_to_another_path():
    run = Script(ORDER)
    run.client().order("../dissuasions?x")
    assert run.requests[0].url.raw_path == b"/v1/orders/..%2Fdissuasions%3Fx"


def test_both_clients_have_the_same_calls():
    names = {name for name in dir(Client) if not name.startswith("_")}
    assert names == {name for name in dir(AsyncClient) if not name.startswith("_")}
    assert asyncio.iscoroutinefunction(AsyncClient.answer)
