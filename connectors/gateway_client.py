"""The way in of every connector: batches of signals until each line has a last word, for as long as it takes.

The rules of what is sent again are the client's (`connectors/client/batch.py`); here is what a connector adds: it never gives
up by itself, hears of every attempt (a sender's ledger), and has one error for "a person must look".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx

from connectors.client.backoff import Backoff
from connectors.client.batch import Journal, send_all
from connectors.client.errors import ClientError
from connectors.client.sansio import Patience
from connectors.client.transport import drive_async
from connectors.contract import Answer


class Stopped(RuntimeError):
    """The gateway will not take anything from this sender as it is (token, address, role): a person must look."""


class HttpGateway:
    """One institution's way in. `token` is asked for each request, so that a fresh one can be used."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        token: Callable[[], str],
        *,
        backoff: Backoff | None = None,
        journal: Callable[[Sequence[Mapping[str, Any]]], Journal] | None = None,
        told: Callable[[str], None] = lambda line: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        give_up_after: int | None = None,
    ) -> None:
        self._client = client
        self._token = token
        self._patience = Patience(backoff or Backoff(), give_up_after, told)
        self._journal = journal
        self._sleep = sleep

    async def send(self, bodies: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """One last word a body, in order. Stopped when no retry can help."""
        journal = self._journal(bodies) if self._journal else None
        steps = send_all(bodies, patience=self._patience, journal=journal)
        try:
            return await drive_async(steps, self._client, self._token, self._sleep)
        except ClientError as error:
            raise Stopped(f"the gateway: {error}") from error
