"""Sends a stream of planned signals through the gateway, every line in the ledger, again and again until each has an answer.

Lines of one institution keep their order (a batch after the other); institutions run beside each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice

import httpx

from connectors.client.backoff import Backoff
from connectors.contract import SignalAnswer
from connectors.gateway_client import HttpGateway
from deploy.demo.generate import Planned
from deploy.verify.ledger import Ledger

TIMEOUT = httpx.Timeout(30.0, connect=2.0)
PATIENCE = Backoff(first_s=0.05, longest_s=1.0)


async def send_all(
    planned: Iterable[Planned],
    *,
    gateway_url: str,
    token: Callable[[str], str],
    ledger: Ledger,
    batch: int = 200,
    timeout: httpx.Timeout = TIMEOUT,
    backoff: Backoff = PATIENCE,
    give_up_after: int | None = None,
    told: Callable[[str], None] = lambda line: None,
    progress: Callable[[int], None] = lambda lines: None,
) -> dict[str, int]:
    """Answers by status. `token` mints for an institution; `batch` lines of each institution go in one request."""
    counts = {"accepted": 0, "refused": 0, "replayed": 0}
    gateways: dict[str, HttpGateway] = {}
    stream = iter(planned)
    async with httpx.AsyncClient(base_url=gateway_url, timeout=timeout) as client:

        def gateway_of(who: str) -> HttpGateway:
            if who not in gateways:
                journal = ledger.journal(who)
                gateways[who] = HttpGateway(
                    client, lambda: token(who), backoff=backoff, journal=journal, told=told, give_up_after=give_up_after
                )
            return gateways[who]

        async def drain(who: str, bodies: list[dict[str, object]]) -> list[SignalAnswer]:
            answers = []
            for start in range(0, len(bodies), batch):
                answers += await gateway_of(who).send(bodies[start : start + batch])
            return answers

        while chunk := list(islice(stream, batch * 8)):
            by_sender: dict[str, list[dict[str, object]]] = {}
            for one in chunk:
                by_sender.setdefault(one.institution, []).append(one.body)
            for answers in await asyncio.gather(*(drain(who, bodies) for who, bodies in by_sender.items())):
                for answer in answers:
                    counts[answer.status] += 1
                    counts["replayed"] += answer.replayed
            progress(len(chunk))
    return counts
