"""The gateway client of every connector: sends batches of signals until each line has a final result, for as long as necessary.

The client decides what is sent again (`connectors/client/batch.py`). A connector adds that it never gives up by itself, records
every attempt (a sender's ledger), and has one error for "a person must look".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx

from connectors.client.backoff import Backoff
from connectors.client.batch import Journal, send_all
from connectors.client.errors import ClientError
from connectors.client.sansio import RetryPolicy
from connectors.client.transport import drive_async
from connectors.contract import SignalAnswer


class FeedStopped(RuntimeError):
    """The gateway accepts nothing from this sender as configured (token, address, role): a person must look."""


class HttpGateway:
    """The gateway client of one institution. `token` is called for each request, so that it may be renewed."""

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
        self._patience = RetryPolicy(backoff or Backoff(), give_up_after, told)
        self._journal = journal
        self._sleep = sleep

    async def send(self, bodies: Sequence[Mapping[str, Any]]) -> list[SignalAnswer]:
        """Returns one final result for each body, in order. FeedStopped if no retry can help."""
        journal = self._journal(bodies) if self._journal else None
        steps = send_all(bodies, patience=self._patience, journal=journal)
        try:
            return await drive_async(steps, self._client, self._token, self._sleep)
        except ClientError as error:
            raise FeedStopped(f"the gateway: {error}") from error
