"""A batch: a result a line, in order, whatever the other lines are; bounds; both directions streamed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.local.tokens import mint
from gateway import app as wiring
from gateway.http.problem_table import TYPE_PREFIX
from gateway.http.problems import Problem
from gateway.signals import batch
from schemas.topics import SUBMITTED
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import FakeLog, MemoryIdempotency, in_pieces, lines, ndjson, signal
from tests.unit.gateway.served import served

URL = "/v1/signals/batch"
NDJSON = {"content-type": "application/x-ndjson"}


def slugs(results: list[dict[str, Any]]) -> list[str]:
    return [one["problem"]["type"].removeprefix(TYPE_PREFIX) if "problem" in one else "ok" for one in results]


async def test_good_lines_are_kept_when_others_are_bad(client: Client, log: FakeLog):
    body = ndjson(signal("a"), b"not json", signal("b", region="1"), signal(None), signal("c"))
    answer = await client().post(URL, content=body, headers=NDJSON)
    results = lines(answer)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/x-ndjson"
    assert [(one["line"], one["status"]) for one in results] == [(1, 202), (2, 422), (3, 422), (4, 422), (5, 202)]
    assert slugs(results) == ["ok", "invalid-signal", "invalid-signal", "reference-missing", "ok"]
    assert len(log.all(SUBMITTED)) == 2


async def test_a_line_and_a_single_post_are_the_same_signal(client: Client, log: FakeLog):
    single = (await client().post("/v1/signals", json=signal("a"))).json()
    (line,) = lines(await client().post(URL, content=ndjson(signal("a")), headers=NDJSON))
    assert line == {"line": 1, "status": 202, "replayed": True} | {k: single[k] for k in ("signal_id", "accepted_at", "receipt")}
    assert len(log.all(SUBMITTED)) == 1


async def test_the_same_line_twice_has_one_receipt_near_or_far_apart(client: Client, log: FakeLog):
    others = [signal(f"other-{n}") for n in range(20)]
    body = ndjson(signal("a"), signal("a"), signal("a", narrative="x"), *others, signal("a"), signal("a", narrative="x"))
    results = lines(await client().post(URL, content=body, headers=NDJSON))
    first, second, third, fourth, fifth = results[0], results[1], results[2], results[-2], results[-1]
    assert first["receipt"] == second["receipt"] == fourth["receipt"]
    assert ["replayed" in one for one in (first, second, fourth)] == [False, True, True]
    assert slugs([third, fifth]) == ["reference-reused"] * 2
    assert len(log.all(SUBMITTED)) == 21


async def test_empty_lines_and_line_ends_of_windows_are_fine(client: Client):
    body = b"\r\n\n" + json.dumps(signal("a")).encode() + b"\r\n  \n" + json.dumps(signal("b")).encode()
    results = lines(await client().post(URL, content=body, headers=NDJSON))
    assert [(one["line"], one["status"]) for one in results] == [(3, 202), (5, 202)]


async def test_lines_that_take_long_let_others_in_between_them(
    client: Client, services: wiring.Services, monkeypatch: pytest.MonkeyPatch
):
    """Whether it takes long to unpack them or to read them."""
    turns, unpacked, seen, read = 0, list[int](), list[int](), services.intake.read
    body = ndjson(*(signal(f"r-{n}") for n in range(10)))

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def plain(data: bytes, inflater: Any) -> Iterator[bytes]:
        for line in body.splitlines(keepends=True) if data else ():
            unpacked.append(turns)
            time.sleep(0.006)
            yield line

    def slow(raw: bytes, institution: str) -> Any:
        seen.append(turns)
        time.sleep(0.006)
        return read(raw, institution)

    monkeypatch.setattr(batch, "_inflate_piece", plain)
    monkeypatch.setattr(services.intake, "read", slow)
    busy = asyncio.create_task(others())
    results = lines(await client().post(URL, content=b"packed", headers=NDJSON))
    busy.cancel()
    assert slugs(results) == ["ok"] * 10
    assert max(Counter(unpacked).values()) == max(Counter(seen).values()) == 1, "after each the others had their turn"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_body_in_any_pieces_gives_the_same_results(client: Client, log: FakeLog, size: int):
    body = ndjson(*(signal(f"r-{n}") for n in range(25)))
    packed = gzip.compress(body)
    plain = await client().post(URL, content=in_pieces(body, size), headers=NDJSON)
    zipped = await client().post(URL, content=in_pieces(packed, size), headers={**NDJSON, "content-encoding": "gzip"})
    assert [one["receipt"] for one in lines(plain)] == [one["receipt"] for one in lines(zipped)]
    assert len(log.all(SUBMITTED)) == 25


async def test_gzip_of_several_members_is_one_body(client: Client):
    packed = gzip.compress(ndjson(signal("a"))) + gzip.compress(ndjson(signal("b")))
    results = lines(await client().post(URL, content=packed, headers={**NDJSON, "content-encoding": "gzip"}))
    assert [one["status"] for one in results] == [202, 202]


async def test_gzip_of_countless_empty_members_ends_early(client: Client):
    packed = gzip.compress(ndjson(signal("a"))) + gzip.compress(b"") * 30_000
    results = lines(await client().post(URL, content=packed, headers={**NDJSON, "content-encoding": "gzip"}))
    assert [one["status"] for one in results] == [202, 422]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"no gzip at all", ["invalid-encoding"]),
        (gzip.compress(ndjson(signal("a")))[:-9], ["ok", "invalid-encoding"]),
        (gzip.compress(ndjson(signal("a"))) + b"junk", ["ok", "invalid-encoding"]),
    ],
)
async def test_broken_gzip_ends_the_batch_and_keeps_what_came_before(client: Client, body: bytes, expected: list[str]):
    results = lines(await client().post(URL, content=body, headers={**NDJSON, "content-encoding": "gzip"}))
    assert slugs(results) == expected


async def test_a_gzip_bomb_is_cut_off(client: Client, settings: wiring.GatewaySettings):
    settings.batch_decompressed_limit_bytes = 1 << 20
    bomb = gzip.compress(ndjson(signal("a")) + b" " * (64 << 20))
    answer = await client().post(URL, content=bomb, headers={**NDJSON, "content-encoding": "gzip"})
    assert slugs(lines(answer)) == ["ok", "body-too-large"]


async def test_too_many_lines_and_too_long_ones_are_told(client: Client, settings: wiring.GatewaySettings, log: FakeLog):
    settings.batch_limit_lines, settings.line_limit_bytes = 12, 2000
    long = signal("long", narrative="x" * 3000)
    body = ndjson(signal("a"), long, *(signal(f"r-{n}") for n in range(20)))
    results = lines(await client().post(URL, content=body, headers=NDJSON))
    assert slugs(results) == ["ok", "line-too-long", *["ok"] * 10, "too-many-lines"]
    assert [one["line"] for one in results] == list(range(1, 14))
    assert len(log.all(SUBMITTED)) == 11


async def test_a_body_over_the_limit_is_413_at_once_or_where_it_shows(client: Client, settings: wiring.GatewaySettings):
    settings.batch_limit_bytes = 2000
    body = ndjson(*(signal(f"r-{n}") for n in range(20)))
    assert (await client().post(URL, content=body, headers=NDJSON)).status_code == 413
    results = lines(await client().post(URL, content=in_pieces(body, 300), headers=NDJSON))
    assert slugs(results)[0] == "ok" and slugs(results)[-1] == "body-too-large"


async def test_a_broker_that_dies_midway_gives_503_to_each_line_from_there_on(client: Client, log: FakeLog):
    log.fails_after = 1
    body = ndjson(*(signal(f"r-{n}") for n in range(25)))
    results = lines(await client().post(URL, content=body, headers=NDJSON))
    assert [one["status"] for one in results] == [202] * 10 + [503] * 15
    assert len(log.all(SUBMITTED)) == 10
    log.fails_after = None
    again = lines(await client().post(URL, content=body, headers=NDJSON))
    assert [one.get("replayed", False) for one in again] == [True] * 10 + [False] * 15


async def test_redis_away_midway_is_503_a_line(client: Client, memory: MemoryIdempotency, log: FakeLog):
    memory.away = True
    results = lines(await client().post(URL, content=ndjson(signal("a"), b"{}"), headers=NDJSON))
    assert slugs(results) == ["state-unavailable", "invalid-signal"] and not log.appends


async def test_a_batch_is_refused_whole_when_nothing_can_be_taken(client: Client, log: FakeLog):
    log.away = True
    assert (await client().post(URL, content=ndjson(signal("a")), headers=NDJSON)).status_code == 503
    log.away = False
    assert (await client().post(URL, content=b"{}", headers={"content-type": "application/json"})).status_code == 415
    assert (await client().post(URL, content=b"", headers={**NDJSON, "content-encoding": "br"})).status_code == 415


async def test_results_come_while_the_body_still_does_and_a_client_that_does_not_read_blocks_nothing(services, home):
    """The app's own interface: the client sends all before it takes one result."""
    app = wiring.create_app_over(services)
    token = mint("bank-001", home=home, profile="unit").encode()
    headers = [(b"content-type", b"application/x-ndjson"), (b"authorization", b"Bearer " + token)]
    scope = {"type": "http", "method": "POST", "path": URL, "headers": headers, "query_string": b"", "client": ("1.2.3.4", 1)}
    chunks = [ndjson(*(signal(f"{n}-{k}") for k in range(10))) for n in range(5)]
    reading = asyncio.Event()
    sent: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if not chunks:
            reading.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": chunks.pop(0), "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        await reading.wait()
        sent.append(message.get("body", b""))

    async with asyncio.timeout(5):
        await app(scope, receive, send)
    assert len(b"".join(sent).splitlines()) == 50


async def test_a_client_that_goes_away_leaves_nothing_behind(services, home):
    app = wiring.create_app_over(services)
    token = mint("bank-001", home=home, profile="unit").encode()
    headers = [(b"content-type", b"application/x-ndjson"), (b"authorization", b"Bearer " + token)]
    scope = {"type": "http", "method": "POST", "path": URL, "headers": headers, "query_string": b"", "client": ("1.2.3.4", 1)}
    messages = [{"type": "http.request", "body": ndjson(signal("a")), "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await app(scope, receive, send)
    assert len(asyncio.all_tasks()) == 1


class Slow:
    """The app driven by hand: `pieces` of a body, each after a pause, then silence."""

    def __init__(
        self, services: wiring.Services, home: Any, pieces: list[bytes], *, pause_s: float = 0, ends: bool = False
    ) -> None:
        token = mint("bank-001", home=home, profile="unit").encode()
        self.headers = [(b"content-type", b"application/x-ndjson"), (b"authorization", b"Bearer " + token)]
        self.app = wiring.create_app_over(services)
        self.pieces, self.pause_s, self.ends = pieces, pause_s, ends
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(self.pause_s)
        if not self.pieces and not self.ends:
            await asyncio.Event().wait()
        more = bool(self.pieces[1:]) or not self.ends
        return {"type": "http.request", "body": self.pieces.pop(0) if self.pieces else b"", "more_body": more}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def post(self, path: str = URL) -> list[dict[str, Any]]:
        """The lines of the answer."""
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "client": ("1.2.3.4", 1)}
        async with asyncio.timeout(5):
            await self.app({**scope, "headers": self.headers}, self.receive, self.send)
        return [json.loads(line) for line in b"".join(one.get("body", b"") for one in self.sent).splitlines()]


async def test_a_body_that_stops_to_come_ends_the_batch_and_keeps_what_came_before(services: wiring.Services, home, log: FakeLog):
    services.settings.body_idle_s = 0.2
    slow = Slow(services, home, [ndjson(*(signal(f"r-{n}") for n in range(13))), b'{"half of'])
    began = asyncio.get_running_loop().time()
    results = await slow.post()
    assert slugs(results) == ["ok"] * 13 + ["body-timeout"]
    assert (results[-1]["line"], results[-1]["status"]) == (14, 408)
    assert len(log.all(SUBMITTED)) == 13 and not services.admission._batches
    assert asyncio.get_running_loop().time() - began < 2


async def test_a_slow_body_that_keeps_coming_is_read_to_its_end(services: wiring.Services, home):
    services.settings.body_idle_s = 0.3
    slow = Slow(services, home, [ndjson(signal(f"r-{n}")) for n in range(12)], pause_s=0.05, ends=True)
    assert slugs(await slow.post()) == ["ok"] * 12, "twice as long as it may be silent"


async def test_a_body_of_a_few_bytes_a_second_is_ended_although_it_never_stops(services: wiring.Services, home):
    services.settings.body_idle_s = 0.3
    for path, media in ((URL, b"application/x-ndjson"), ("/v1/signals", b"application/json")):
        slow = Slow(services, home, [b" "] * 200, pause_s=0.05)
        slow.headers[0] = (b"content-type", media)
        (problem,) = await slow.post(path)
        assert (problem.get("problem") or problem)["type"] == TYPE_PREFIX + "body-timeout"


class Counting:
    """An intake whose `read` takes a while; counts what it read."""

    def __init__(self, services: wiring.Services, took_s: float = 0.006) -> None:
        self.read_before, self.took_s, self.senders = services.intake.read, took_s, list[str]()
        services.intake.read = self.read  # type: ignore[method-assign]

    def read(self, raw: bytes, institution: str, key: str | None = None) -> Any:
        self.senders.append(institution)
        time.sleep(self.took_s)
        return self.read_before(raw, institution, key)


async def test_a_batch_ends_with_its_sender_although_its_body_is_all_there(services: wiring.Services, home, log: FakeLog):
    counting = Counting(services)
    token = mint("bank-001", home=home, profile="unit")
    body = gzip.compress(ndjson(*(signal(f"r-{n}") for n in range(400))))
    head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Encoding: gzip\r\n"
    head += f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    async with served(wiring.create_app_over(services)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        while not counting.senders:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        writer.transport.abort()
        while services.admission._batches:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(counting.senders) < 100 and len(log.all(SUBMITTED)) < 100


async def test_an_institution_with_many_batches_gets_no_more_turns_than_another(services: wiring.Services, home, client: Client):
    counting = Counting(services)
    bodies = [ndjson(*(signal(f"{k}-{n}") for n in range(9))) for k in range(7)]
    many = [client("bank-001").post(URL, content=body, headers=NDJSON) for body in bodies[:6]]
    await asyncio.gather(*many, client("bank-002").post(URL, content=bodies[6], headers=NDJSON))
    places = [at for at, sender in enumerate(counting.senders) if sender == "bank-002"]
    assert Counter(counting.senders[places[0] : places[-1]])["bank-001"] <= 9 + 2, "one for one"


async def test_after_many_faults_a_line_names_its_first_one_only(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch, "FAULTS_IN_FULL", 20)
    results = lines(await client().post(URL, content=ndjson(*[{}] * 30), headers=NDJSON))
    errors = [len(one["problem"]["errors"]) for one in results]
    assert errors[0] > 1 and errors[-1] == 1 and results[-1]["problem"]["errors_omitted"] == errors[0] - 1
    assert {one["status"] for one in results} == {422}


_LINE = json.dumps(signal("a")).encode()


@pytest.mark.parametrize(
    "bad",
    [
        b"{}",
        b"x",
        b"[" * 3000,
        b"[]" * 3000,
        b"[" * 17 + b"]" * 60_000,
        b'"["' * 20_000,
        b'{"a":' * 3000,
        json.dumps(signal("r", indicators=[{"kind": "phone", "value": "x"}] * 16)).encode(),
        json.dumps(signal("r", indicators=[{"kind": "phone", "value": "x"}] * 3000)).encode(),
    ],
    ids=["empty", "junk", "deep", "wide", "closers", "brackets in texts", "members", "16 wrong", "3000 wrong"],
)
def test_a_bad_line_costs_no_more_than_a_good_one_of_its_weight(services: wiring.Services, bad: bytes):
    """Weight: a line's bytes, but at least those of a good one. Each is read a few times and the least time counts."""

    def cost_s(line: bytes) -> float:
        def once() -> float:
            began = time.process_time()
            for _ in range(20):
                with contextlib.suppress(Problem):
                    services.intake.read(line, "bank-001")
            return time.process_time() - began

        return min(once() for _ in range(5))

    weight = max(1.0, len(bad) / len(_LINE))
    assert cost_s(bad) <= 6 * weight * cost_s(_LINE)


@pytest.mark.parametrize(("more", "pause_s"), [(0, 0.0), (1000, 0.05)])
async def test_what_is_thrown_away_after_a_problem_is_not_waited_for(services: wiring.Services, home, more: int, pause_s: float):
    """Neither when it stops to come nor when it comes steadily."""
    services.settings.body_idle_s, services.settings.batch_limit_lines = 0.3, 1
    slow = Slow(services, home, [ndjson(signal("a"), signal("b")), *[b" "] * more], pause_s=pause_s)
    assert slugs(await slow.post()) == ["ok", "too-many-lines"]


async def test_a_single_body_that_stops_to_come_is_408_and_ends_the_connection(services: wiring.Services, home, log: FakeLog):
    services.settings.body_idle_s = 0.2
    slow = Slow(services, home, [json.dumps(signal("a")).encode()[:-5]])
    slow.headers[0] = (b"content-type", b"application/json")
    (problem,) = await slow.post("/v1/signals")
    assert (problem["status"], problem["type"]) == (408, TYPE_PREFIX + "body-timeout") and not log.all(SUBMITTED)
    assert slow.sent[0]["status"] == 408 and (b"connection", b"close") in slow.sent[0]["headers"]
