"""The loop over the whole system: real processes, real sockets. A signal, its case, a measure, an order and its answers, the
disposal, what the sender hears of it; and what others do not see."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.stack import Stack
from deploy.local.tokens import mint
from tests.support.waiting import until
from tests.unit.gateway.fakes import signal

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function")]
QUEUE, WAIT_S = "public-security-630202", 40
FIELDS = ["name", "account", "amount", "time"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("loop")
    with Stack("loop", home=home, backoff_max_s=0.5, kafka_heap_mb=256) as found:
        yield found


class Party:
    """One who calls the gateway. A move that is not decided in time is asked again, as a client does."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient, subject: str) -> None:
        self._client = client
        self._headers = {"authorization": "Bearer " + mint(subject, home=Path(stack.places.home), profile=stack.profile)}

    async def get(self, url: str) -> httpx.Response:
        return await self._client.get(url, headers=self._headers)

    async def read(self, url: str) -> dict[str, Any]:
        answer = await self.get(url)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def do(self, url: str, body: dict[str, Any] | None = None, *, refused: tuple[int, ...] = ()) -> Any:
        """The answer's body once it is decided; the response itself when it is one of `refused`."""
        headers = {**self._headers, "idempotency-key": secrets.token_hex(8)}

        async def decided() -> httpx.Response | None:
            answer = await self._client.post(url, json=body or {}, headers=headers)
            later = answer.status_code in (202, 503) or (answer.status_code == 409 and "retry-after" in answer.headers)
            return None if later else answer

        answer = await until(f"POST {url}", decided, WAIT_S)
        if answer.status_code in refused:
            return answer
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def send(self, **body: Any) -> str:
        answer = await self._client.post("/v1/signals", json=signal(secrets.token_hex(8), **body), headers=self._headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["signal_id"])


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.gateway_url, timeout=WAIT_S) as found:
        yield found


async def test_a_signal_goes_through_the_loop_and_its_sender_hears_what_came_of_it(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    bank, other, stranger, officer = (Party(stack, client, one) for one in ("bank-001", "bank-002", "bank-003", "officer-1"))
    account = {"kind": "account", "value": f"62220210{secrets.randbelow(10**7):07}"}
    known = {"indicators": [account], "amount": {"minor": 60_000_000}}
    await bank.send(**known)
    own = f"/v1/signals/{await other.send(**known)}"

    async def heard() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await other.read(own)).get("feedback", [])
        return found

    case_id = (await until("the case in the feedback", heard, WAIT_S))[0]["case_id"]
    warned = {"kind": "warned", "reference": secrets.token_hex(8), "channel": "call", "reaction": "insisted"}
    measured = (await other.do(own + "/measures", {**warned, "done_at": datetime.now(UTC).isoformat()}))["measures"]
    assert [one["case_id"] for one in measured] == [case_id]
    case = await officer.read(f"/v1/cases/{case_id}")
    claimed = await officer.do(f"/v1/cases/{case_id}/claim", {"revision": case["revision"]})
    assert (claimed["phase"], claimed["holder"]) == ("in_handling", "officer-1")

    amount = {"minor": 100_000}
    verify = {"name": "王某", "account": account["value"], "amount": amount, "occurred_at": "2026-03-02T08:00:00Z"}
    stop = {"kind": "stop_payment", "recipient": "bank-002", "subject": account, "verify": verify, "amount": amount}
    order = await officer.do(f"/v1/cases/{case_id}/orders", {**stop, "basis": "条例第二十二条"})
    at = f"/v1/orders/{order['order_id']}"
    read = await other.read(at)
    assert (read["verify"]["name"], read["verify"]["account"]) == ("王某", account["value"])
    assert [(await one.get(at)).status_code for one in (bank, stranger)] == [404, 404]
    assert (await stranger.get(f"/v1/cases/{case_id}")).status_code == 404
    early = await other.do(at + "/answers", {"result": "executed", "amount_minor": 100_000}, refused=(409,))
    assert "verified" in early.json()["allowed_transitions"]
    await other.do(at + "/answers", {"result": "verified", "verified_fields": FIELDS, "credited_minor": 100_000})
    done = await other.do(at + "/answers", {"result": "executed", "amount_minor": 90_000})
    assert (done["state"], done["held_minor"]) == ("executed", 90_000)

    whole = await officer.read(f"/v1/cases/{case_id}")
    assert (whole["phase"], whole["orders"][0]["history"][0]["event"]) == ("ordered", "issue")
    assert {"acknowledge", "dispose"} <= {one["name"] for one in whole["deadlines"]}
    await officer.do(f"/v1/cases/{case_id}/dispose", {"revision": whole["revision"], "disposition": "confirmed"})
    (told,) = await heard()
    assert (told["reviewed"], told["outcome"]) == (True, "confirmed")
    assert (told["actions_taken"], told["prevented_loss_minor"]) == (["stop_payment", "warned"], {"CNY": 90_000})
    seen = await other.get(f"/v1/cases/{case_id}")
    assert seen.json()["orders"][0]["held_minor"] == 90_000
    assert "bank-001" not in seen.text and "officer" not in seen.text
