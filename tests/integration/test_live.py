"""Live queues, counts and search over the whole system: real processes, real sockets, a client that does not read, a drain."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.local.stack import Stack
from deploy.local.tokens import mint, scrape_headers
from tests.unit.gateway.fakes import lines, ndjson, signal

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function")]
QUEUE, WAIT_S = "public-security-630202", 30
ENV = {"LIANDONG_LIVE_SLOW_S": "1", "LIANDONG_LIVE_HEARTBEAT_S": "2"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("live")
    with Stack("live", home=home, env=ENV, backoff_max_s=0.5, kafka_heap_mb=256) as found:
        yield found


def token(stack: Stack, subject: str, **claims: Any) -> dict[str, str]:
    return {"authorization": "Bearer " + mint(subject, home=Path(stack.places.home), profile=stack.profile, **claims)}


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.gateway_url, timeout=WAIT_S) as found:
        yield found


class Officer:
    """A client of live queues that does what docs/guide/live.md says: a reset means to read the list, a row replaces an
    older one."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        self._client, self._headers = client, headers
        self.cases: dict[str, dict[str, Any]] = {}
        self.counts: dict[str, Any] = {}
        self.kinds: list[str] = []
        self.last_id = ""
        self.said = ""

    @asynccontextmanager
    async def on(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def _listen(self) -> None:
        headers = {**self._headers, **({"last-event-id": self.last_id} if self.last_id else {})}
        async with self._client.stream("GET", f"/v1/queues/{QUEUE}/events", headers=headers) as answer:
            assert answer.status_code == 200
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if "data" in fields:
                    await self._hear(fields["event"], json.loads(fields["data"]))
                    self.last_id = fields.get("id", self.last_id)
                fields = {}

    async def _hear(self, kind: str, data: dict[str, Any]) -> None:
        self.kinds.append(kind)
        if kind == "reset":
            listed = await self._client.get(f"/v1/queues/{QUEUE}/cases", params={"limit": 200}, headers=self._headers)
            self._take(listed.json()["cases"])
        elif kind == "cases":
            self._take(data["cases"])
        elif kind == "counts":
            self.counts |= {one["queue"]: one for one in data["queues"]}
        else:
            self.said = data["reason"]

    def _take(self, cases: list[dict[str, Any]]) -> None:
        for case in cases:
            if case["revision"] > self.cases.get(case["case_id"], {}).get("revision", 0):
                self.cases[case["case_id"]] = case


async def until(what: str, holds: Any) -> Any:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = holds()
        if found := await found if asyncio.iscoroutine(found) else found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {WAIT_S} s: {what}")


async def send(stack: Stack, client: httpx.AsyncClient, account: str, *banks: str) -> None:
    for bank in banks:
        body = signal(secrets.token_hex(8), indicators=[{"kind": "account", "value": account}])
        assert (await client.post("/v1/signals", json=body, headers=token(stack, bank))).status_code == 202


async def send_all(stack: Stack, client: httpx.AsyncClient, accounts: list[str], bank: str) -> None:
    bodies = [signal(secrets.token_hex(8), indicators=[{"kind": "account", "value": account}]) for account in accounts]
    headers = {**token(stack, bank), "content-type": "application/x-ndjson"}
    answer = await client.post("/v1/signals/batch", content=ndjson(*bodies), headers=headers)
    assert [one["status"] for one in lines(answer)] == [202] * len(accounts)


def of_account(officer: Officer, account: str) -> dict[str, Any] | None:
    return next((case for case in officer.cases.values() if case["primary_subject"]["value"] == account), None)


async def test_an_officer_hears_of_a_case_follows_it_and_misses_nothing_while_he_is_away(stack: Stack, client: httpx.AsyncClient):
    officer, account = Officer(client, token(stack, "officer-1")), "6222021000000001"
    async with officer.on():
        await until("a reset", lambda: "reset" in officer.kinds)
        await send(stack, client, account, "bank-001", "bank-002")
        case = await until("the case", lambda: of_account(officer, account))
        await until("its count", lambda: officer.counts.get(QUEUE, {}).get("depth"))
        seen = (await client.get(f"/v1/cases/{case['case_id']}", headers=token(stack, "officer-1"))).json()
        assert seen["revision"] >= case["revision"], "what is told of is in the views"
    assert officer.last_id
    resets = officer.kinds.count("reset")
    for n in range(30):
        await send(stack, client, account, f"bank-1{n:02d}")
    claimed = await client.post(
        f"/v1/queues/{QUEUE}/next", headers={**token(stack, "officer-2"), "idempotency-key": secrets.token_hex(8)}
    )
    assert claimed.json()["case_id"] == case["case_id"]
    async with officer.on():
        await until("the holder", lambda: officer.cases[case["case_id"]].get("holder") == "officer-2")
        await until("all signals", lambda: officer.cases[case["case_id"]]["signal_count"] == 31)
    assert officer.kinds.count("reset") == resets, "it was resumed"


async def test_a_burst_is_told_at_four_events_a_second_and_ends_in_the_state_of_the_list(stack: Stack, client: httpx.AsyncClient):
    officer = Officer(client, token(stack, "officer-3"))
    async with officer.on():
        await until("a reset", lambda: "reset" in officer.kinds)
        began = time.monotonic()
        for n in range(120):
            await send(stack, client, f"62220210{n % 6:08d}", f"bank-{n // 6:03d}")

        async def same() -> bool:
            listed = await client.get(f"/v1/queues/{QUEUE}/cases?limit=200", headers=token(stack, "officer-3"))
            told = {case["case_id"]: case["revision"] for case in listed.json()["cases"]}
            return len(told) >= 6 and all(officer.cases.get(name, {}).get("revision") == at for name, at in told.items())

        await until("the state of the list", same)
        assert officer.kinds.count("cases") <= 4 * (time.monotonic() - began) + 1
        assert officer.kinds.count("reset") == 1


async def test_a_client_that_does_not_read_is_cut_off_and_the_others_go_on(stack: Stack, client: httpx.AsyncClient):
    where = urlsplit(stack.gateway_url)
    bearer = token(stack, "officer-4")["authorization"]
    head = f"GET /v1/queues/{QUEUE}/events HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n\r\n"
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((where.hostname, where.port))
        deaf.sendall(head.encode())
        officer = Officer(client, token(stack, "officer-5"))
        async with officer.on():
            await until("a reset", lambda: "reset" in officer.kinds)
            accounts, banks = [f"62220219{n:08d}" for n in range(200)], iter(range(1000))

            async def cut() -> bool:
                await send_all(stack, client, accounts, f"bank-{next(banks):03d}")
                text = (await client.get("/metrics", headers=scrape_headers(stack.places.root))).text
                return 'live_closed_total{reason="slow"} 1.0' in text

            await until("the deaf one cut off", cut)
            sent = next(banks) - 1
            for account in (accounts[0], accounts[-1]):
                await until("all of it", lambda account=account: (of_account(officer, account) or {}).get("signal_count") == sent)
        deaf.settimeout(5)
        kept = b"".join(iter(lambda: deaf.recv(65536), b""))
        assert len(kept) < 1 << 20, "little was kept for it"
        assert not kept.endswith(b"0\r\n\r\n"), "a cut, not an ordinary end"


async def test_an_indicator_in_any_spelling_leads_to_its_cases_within_ones_queues(stack: Stack, client: httpx.AsyncClient):
    account = "6222021000007777"
    body = {"kind": "account", "value": "6222 0210-0000 7777"}
    await send(stack, client, account, "bank-001", "bank-002", "bank-003")

    async def found() -> list[dict[str, Any]]:
        answer = await client.post("/v1/search", json=body, headers=token(stack, "officer-1"))
        assert answer.status_code == 200, answer.text
        return [case for case in answer.json()["cases"] if case["signal_count"] == 2]

    (case,) = await until("the case by its indicator", found)
    assert case["primary_subject"]["value"] == account
    elsewhere = token(stack, "officer-9", queues=["financial-regulator-*"])
    assert (await client.post("/v1/search", json=body, headers=elsewhere)).json()["cases"] == []
    queues = (await client.get("/v1/queues", headers=token(stack, "officer-1"))).json()["queues"]
    (mine,) = [one for one in queues if one["queue"] == QUEUE]
    assert sum(mine["severities"].values()) == mine["depth"] > 0
    said = stack.log("gateway")
    assert '"what":"search"' in said and account not in said


async def test_a_tip_comes_to_an_officer_and_its_sender_hears_little_and_only_so_often(stack: Stack, client: httpx.AsyncClient):
    phone, officer = "13912340000", token(stack, "officer-1")
    tip = {"indicators": [{"kind": "phone", "value": phone}], "region": "630202", "contact": "王 139"}
    tip["narrative"] = "自称客服，要求转账"
    number = (await client.post("/v1/tips", json=tip)).json()["number"]

    async def found() -> list[dict[str, Any]]:
        answer = await client.post("/v1/search", json={"kind": "phone", "value": phone}, headers=officer)
        return list(answer.json()["cases"])

    (case,) = await until("the case of the tip", found)
    assert (case["severity"], case["institutions"], case["queue"]) == ("low", [], QUEUE)
    whole = (await client.get(f"/v1/cases/{case['case_id']}", headers=officer)).json()
    assert (whole["signals"][0]["trust"], whole["signals"][0]["contact"]) == ("low", "王 139")
    assert (await client.get(f"/v1/tips/{number}")).json()["status"] == "being_examined"
    claimed = await client.post(f"/v1/cases/{case['case_id']}/claim", json={"revision": case["revision"]}, headers=officer)
    assert (await client.get(f"/v1/tips/{number}")).json()["status"] == "being_examined"
    ended = {"revision": claimed.json()["revision"], "disposition": "insufficient"}
    assert (await client.post(f"/v1/cases/{case['case_id']}/dispose", json=ended, headers=officer)).status_code == 200
    assert (await client.get(f"/v1/tips/{number}")).json()["status"] == "closed"
    rest = [await client.post("/v1/tips", json=tip) for _ in range(5)]
    assert [one.status_code for one in rest] == [202] * 4 + [429], "five an hour"
    assert 600 < int(rest[-1].headers["retry-after"]) <= 720, "one is free after a fifth of an hour"
    assert (await client.get("/v1/tips/0000-0000-0000-0000-0000")).status_code == 404
    assert phone not in stack.log("gateway")


async def test_connections_end_with_a_word_when_the_gateway_is_told_to_end(stack: Stack, client: httpx.AsyncClient):
    """The last one: it stops the gateway."""
    officer = Officer(client, token(stack, "officer-6"))
    async with officer.on():
        await until("a reset", lambda: "reset" in officer.kinds)
        began = time.monotonic()
        await asyncio.to_thread(stack.stop_one, "gateway")
        await until("the word", lambda: officer.said == "draining")
        assert time.monotonic() - began < 5
