"""The way in: what is a last word, what is sent again, and what stops the sender."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import httpx
import pytest

from connectors.client.backoff import Backoff
from connectors.contract import SignalAnswer
from connectors.gateway_client import FeedStopped, HttpGateway

NO_WAIT = Backoff(0.0, 0.0)
Reply = Callable[[list[dict]], httpx.Response]


def accepted(n: int, **more) -> dict:
    return {
        "line": n,
        "status": 202,
        "signal_id": f"sig-{n}",
        "accepted_at": "2026-03-01T00:00:00Z",
        "receipt": f"k1.{40 + n}",
        **more,
    }


def problem(n: int, status: int, slug: str, **more) -> dict:
    return {
        "line": n,
        "status": status,
        "problem": {"type": f"urn:liandong:problem:{slug}", "title": slug, "status": status, **more},
    }


def lines(*found: dict) -> httpx.Response:
    return httpx.Response(200, content=b"".join(json.dumps(one).encode() + b"\n" for one in found))


def all_good(bodies: list[dict]) -> httpx.Response:
    return lines(*(accepted(n) for n in range(1, len(bodies) + 1)))


class Script:
    """Answers requests by a list of replies, the last one for ever; keeps what arrived."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.requests: list[list[str]] = []
        self.tokens: list[str] = []
        self.waits: list[float] = []
        self.told: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        bodies = [json.loads(line) for line in request.read().splitlines()]
        self.requests.append([body["reference"] for body in bodies])
        self.tokens.append(request.headers["authorization"])
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return reply(bodies)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def send(script: Script, count: int = 3, **more) -> list[SignalAnswer]:
    client = httpx.AsyncClient(transport=httpx.MockTransport(script), base_url="http://gateway")
    options = {"backoff": NO_WAIT, "sleep": script.sleep, "told": script.told.append, **more}
    token = options.pop("token", lambda: "t")
    async with client:
        return await HttpGateway(client, token, **options).send([{"reference": f"r{n}"} for n in range(count)])


def fails(error: Exception) -> Reply:
    def reply(bodies: list[dict]) -> httpx.Response:
        raise error

    return reply


async def test_an_accepted_line_carries_its_place_in_the_log():
    script = Script(lambda bodies: lines(accepted(1), accepted(2, replayed=True)))
    first, second = await send(script, 2)
    assert first.receipt == "k1.41"
    assert (first.signal_id, first.replayed, second.replayed) == ("sig-1", False, True)


async def test_a_fault_of_a_line_is_its_last_word_and_tells_all_places():
    errors = [{"pointer": "/region", "detail": "no code"}, {"pointer": "/kind", "detail": "unknown"}]
    script = Script(lambda bodies: lines(accepted(1), problem(2, 422, "invalid-signal", errors=errors), accepted(3)))
    answers = await send(script)
    assert [one.status for one in answers] == ["accepted", "refused", "accepted"]
    assert "/region: no code; /kind: unknown" in answers[1].reason
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        lambda bodies: httpx.Response(503, headers={"retry-after": "2"}),
        lambda bodies: httpx.Response(500),
        lambda bodies: httpx.Response(429),
        lambda bodies: httpx.Response(502, text="<html>"),
        fails(httpx.ConnectError("refused")),
        fails(httpx.ReadTimeout("slow")),
        fails(httpx.RemoteProtocolError("cut")),
        lambda bodies: httpx.Response(200, content=b""),
        lambda bodies: httpx.Response(200, content=b'{"line": 1, "sta'),
    ],
    ids=["503", "500", "429", "502", "refused", "timeout", "cut", "empty", "torn"],
)
async def test_what_is_unknown_is_sent_again_under_the_same_reference(trouble):
    script = Script(trouble, trouble, all_good)
    answers = await send(script)
    assert [one.status for one in answers] == ["accepted"] * 3
    assert script.requests == [["r0", "r1", "r2"]] * 3


async def test_only_the_lines_without_an_answer_are_sent_again_in_their_order():
    script = Script(
        lambda bodies: lines(problem(1, 503, "log-unavailable"), accepted(2), problem(3, 409, "request-in-progress")), all_good
    )
    assert len(await send(script)) == 3
    assert script.requests[1] == ["r0", "r2"]


async def test_an_answer_that_breaks_off_keeps_what_it_told():
    script = Script(lambda bodies: lines(accepted(1)), all_good)
    await send(script)
    assert script.requests == [["r0", "r1", "r2"], ["r1", "r2"]]
    assert "no response for 2 lines" in script.told[0]


async def test_it_waits_as_long_as_the_gateway_asks():
    script = Script(lambda bodies: httpx.Response(503, headers={"retry-after": "7"}), all_good)
    await send(script)
    assert script.waits[0] >= 7


@pytest.mark.parametrize("status", [400, 401, 403, 404, 415, 422])
async def test_a_request_that_no_retry_can_help_stops_the_sender(status):
    body = {"type": "urn:liandong:problem:unauthenticated", "title": "No valid token", "detail": "expired"}
    with pytest.raises(FeedStopped, match=r"No valid token: expired"):
        await send(Script(lambda bodies: httpx.Response(status, json=body)))


@pytest.mark.parametrize("slug", ["too-many-lines", "body-too-large"])
async def test_too_large_a_batch_is_halved_without_losing_its_order(slug):
    def reply(bodies: list[dict]) -> httpx.Response:
        if len(bodies) > 2:
            return lines(accepted(1), problem(2, 413, slug))
        return all_good(bodies)

    script = Script(reply)
    assert len(await send(script, 7)) == 7
    assert script.requests[0] == [f"r{n}" for n in range(7)]
    assert max(len(request) for request in script.requests[-2:]) <= 2


async def test_a_whole_request_that_is_too_large_is_halved_and_a_single_line_refused():
    script = Script(lambda bodies: httpx.Response(413) if "r2" in [body["reference"] for body in bodies] else all_good(bodies))
    answers = await send(script)
    assert [one.status for one in answers] == ["accepted", "accepted", "refused"]


async def test_the_token_is_asked_for_each_request():
    names = iter(("old", "new"))
    script = Script(lambda bodies: httpx.Response(503), all_good)
    await send(script, token=lambda: next(names))
    assert script.tokens == ["Bearer old", "Bearer new"]


async def test_it_gives_up_only_when_told_to():
    with pytest.raises(FeedStopped, match="gave up after 2 tries: 503"):
        await send(Script(lambda bodies: httpx.Response(503)), give_up_after=2)


class Notes:
    def __init__(self, bodies: Sequence) -> None:
        self.told: list[tuple] = []

    def trying(self, indexes):
        self.told.append(("try", *indexes))

    def answered(self, index, answer):
        self.told.append((answer.status, index))

    def failed(self, indexes, why, *, taken):
        self.told.append((("doubt" if taken is None else "not taken"), *indexes))

    def settled(self):
        self.told.append(("settled",))


async def test_the_journal_hears_each_attempt_before_it_and_what_is_in_doubt():
    notes = []

    def journal(bodies):
        notes.append(Notes(bodies))
        return notes[0]

    def first(bodies: list[dict]) -> httpx.Response:
        assert notes[0].told == [("try", 0, 1, 2, 3)]
        return lines(
            accepted(1), problem(2, 503, "log-unavailable"), problem(3, 503, "overloaded"), problem(4, 422, "json-too-deep")
        )

    await send(Script(first, fails(httpx.ConnectError("x")), fails(httpx.ReadError("x")), all_good), 4, journal=journal)
    assert notes[0].told == [
        ("try", 0, 1, 2, 3), ("accepted", 0), ("refused", 3), ("doubt", 1), ("not taken", 2), ("settled",),
        ("try", 1, 2), ("not taken", 1, 2), ("settled",),
        ("try", 1, 2), ("doubt", 1, 2), ("settled",),
        ("try", 1, 2), ("accepted", 1), ("accepted", 2), ("settled",),
    ]  # fmt: skip
