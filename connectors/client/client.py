"""The two clients of an institution: the same calls, blocking and asynchronous.

    with Client("https://gateway.example", token) as client:
        receipt = client.send({"reference": "B001-17", "kind": "telecom_fraud", ...})
        outcome = client.wait(receipt.signal_id)

Invariant: a `SignalReceipt`, or an accepted `SignalAnswer`, means that the broker has the signal; each retry keeps the reference.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from . import case_work as loop
from . import inbox
from . import requests as calls
from .case_work import DissuasionWork, IncomingOrder, ReportedMeasure
from .inbox import PAGE, WAIT_S, InboxNotification, InboxPage
from .models import SignalAnswer, SignalOutcome, SignalReceipt
from .sansio import Result, RetryPolicy, Steps
from .signals import Signal
from .transport import TIMEOUT, AsyncToken, Token, drive, drive_async

BATCH = 500
DissuasionMove = Literal["take", "give-back", "attempts", "give-up"]


class Client:
    """The blocking client. `token` is the bearer token, or a function that returns a fresh one for each request. `http` is a
    client of your own (proxy, certificates) with the gateway's URL as its base; it is closed together with this one."""

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        patience: RetryPolicy | None = None,
        http: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http or httpx.Client(base_url=url, timeout=TIMEOUT)
        self._token, self._sleep = token, sleep
        self._patience = patience or RetryPolicy()

    def send(self, signal: Signal) -> SignalReceipt:
        """Sends one signal. InvalidSignal, ReferenceReused, Unauthenticated, … if it is refused; Unavailable if the tries are
        used up."""
        return drive(calls.send(signal, self._patience), self._http, self._token, self._sleep)

    def send_many(self, signals: Iterable[Signal], *, batch: int = BATCH) -> Iterator[SignalAnswer]:
        """Returns one answer for each signal, in order. A refused signal does not stop the others. After an Unavailable send all
        of them again: accepted ones count once."""
        remaining = iter(signals)
        while some := list(islice(remaining, batch)):
            yield from drive(calls.send_many(some, self._patience), self._http, self._token, self._sleep)

    def retract(self, reference: str, reason: str) -> SignalReceipt:
        """Retracts a signal permanently by its reference, even before it arrives. To correct it, `send` a higher `version`."""
        return drive(calls.retract(reference, reason, self._patience), self._http, self._token, self._sleep)

    def outcome(self, signal_id: str) -> SignalOutcome:
        """Returns the status of a signal. NotFound if it is not yours."""
        return drive(calls.outcome(signal_id, self._patience), self._http, self._token, self._sleep)

    def wait(self, signal_id: str, *, timeout_s: float = 30.0) -> SignalOutcome:
        """Returns the result of a signal once it is assessed. StillPending after the time."""
        steps = calls.wait(signal_id, timeout_s, self._patience, time.monotonic)
        return drive(steps, self._http, self._token, self._sleep)

    def measure(self, signal_id: str, measure: Mapping[str, Any]) -> list[ReportedMeasure]:
        """Reports a measure for a signal of yours (warned, blocked, reported); each of its cases records it."""
        return self._run_steps(loop.measure(signal_id, measure, self._patience))

    def order(self, order_id: str) -> IncomingOrder:
        """Returns an order to you with the values to compare. NotFound if it is not yours."""
        return self._run_steps(loop.order(order_id, self._patience))

    def answer(self, order_id: str, answer: Mapping[str, Any], *, key: str | None = None) -> IncomingOrder:
        """Answers an order: `{"result": "verified", ...}`. Pass a `key` of your own if a restart must not answer again; by
        default each call has a new key. ProblemError with the allowed `allowed_transitions` if the answer is refused."""
        return self._run_steps(loop.answer(order_id, answer, key, self._patience))

    def dissuasion(self, dissuasion_id: str) -> DissuasionWork:
        """Returns a dissuasion that was addressed to you."""
        return self._run_steps(loop.dissuasion(dissuasion_id, self._patience))

    def work(
        self, dissuasion_id: str, what: DissuasionMove, body: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> DissuasionWork:
        """Takes a dissuasion, reports an attempt, returns it, or ends it without success."""
        return self._run_steps(loop.work(dissuasion_id, what, body or {}, key, self._patience))

    def inbox(self, after: str | None = None, *, wait_s: float = 0.0, limit: int = PAGE) -> InboxPage:
        """Returns your notices after `after`, at most `limit` (200). If there are none, `wait_s` (30) waits for the first."""
        return self._run_steps(inbox.page(after, wait_s, limit, self._patience))

    def notices(self, after: str | None = None, *, wait_s: float = WAIT_S) -> Iterator[InboxNotification]:
        """Yields all notices after `after`, then each new one, without end. Store the `cursor` of the last notice that you
        finished: a restart continues there. A request confirms everything before its cursor, so the next one is made only after
        you took the whole page."""
        while True:
            page = self.inbox(after, wait_s=wait_s)
            yield from page.items
            after = page.next_cursor if page.next_cursor is not None else after

    def acknowledge(self, notification_id: str) -> InboxNotification:
        """Confirms that your system has the notice and will act; a repeated call returns the first time."""
        return self._run_steps(inbox.acknowledge(notification_id, self._patience))

    def _run_steps(self, steps: Steps[Result]) -> Result:
        return drive(steps, self._http, self._token, self._sleep)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """The asynchronous client; see Client. The function of the token may be asynchronous."""

    def __init__(
        self,
        url: str,
        token: AsyncToken,
        *,
        patience: RetryPolicy | None = None,
        http: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http or httpx.AsyncClient(base_url=url, timeout=TIMEOUT)
        self._token, self._sleep = token, sleep
        self._patience = patience or RetryPolicy()

    async def send(self, signal: Signal) -> SignalReceipt:
        return await drive_async(calls.send(signal, self._patience), self._http, self._token, self._sleep)

    async def send_many(
        self, signals: Iterable[Signal] | AsyncIterable[Signal], *, batch: int = BATCH
    ) -> AsyncIterator[SignalAnswer]:
        async for some in _cut_batches(signals, batch):
            steps = calls.send_many(some, self._patience)
            for answer in await drive_async(steps, self._http, self._token, self._sleep):
                yield answer

    async def retract(self, reference: str, reason: str) -> SignalReceipt:
        return await drive_async(calls.retract(reference, reason, self._patience), self._http, self._token, self._sleep)

    async def outcome(self, signal_id: str) -> SignalOutcome:
        return await drive_async(calls.outcome(signal_id, self._patience), self._http, self._token, self._sleep)

    async def wait(self, signal_id: str, *, timeout_s: float = 30.0) -> SignalOutcome:
        steps = calls.wait(signal_id, timeout_s, self._patience, time.monotonic)
        return await drive_async(steps, self._http, self._token, self._sleep)

    async def measure(self, signal_id: str, measure: Mapping[str, Any]) -> list[ReportedMeasure]:
        return await self._run_steps(loop.measure(signal_id, measure, self._patience))

    async def order(self, order_id: str) -> IncomingOrder:
        return await self._run_steps(loop.order(order_id, self._patience))

    async def answer(self, order_id: str, answer: Mapping[str, Any], *, key: str | None = None) -> IncomingOrder:
        return await self._run_steps(loop.answer(order_id, answer, key, self._patience))

    async def dissuasion(self, dissuasion_id: str) -> DissuasionWork:
        return await self._run_steps(loop.dissuasion(dissuasion_id, self._patience))

    async def work(
        self, dissuasion_id: str, what: DissuasionMove, body: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> DissuasionWork:
        return await self._run_steps(loop.work(dissuasion_id, what, body or {}, key, self._patience))

    async def inbox(self, after: str | None = None, *, wait_s: float = 0.0, limit: int = PAGE) -> InboxPage:
        return await self._run_steps(inbox.page(after, wait_s, limit, self._patience))

    async def notices(self, after: str | None = None, *, wait_s: float = WAIT_S) -> AsyncIterator[InboxNotification]:
        while True:
            page = await self.inbox(after, wait_s=wait_s)
            for notice in page.items:
                yield notice
            after = page.next_cursor if page.next_cursor is not None else after

    async def acknowledge(self, notification_id: str) -> InboxNotification:
        return await self._run_steps(inbox.acknowledge(notification_id, self._patience))

    async def _run_steps(self, steps: Steps[Result]) -> Result:
        return await drive_async(steps, self._http, self._token, self._sleep)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


async def _cut_batches(signals: Iterable[Signal] | AsyncIterable[Signal], size: int) -> AsyncIterator[list[Signal]]:
    some: list[Signal] = []
    async for signal in signals if isinstance(signals, AsyncIterable) else _one_by_one(signals):
        some.append(signal)
        if len(some) >= size:
            yield some
            some = []
    if some:
        yield some


async def _one_by_one(signals: Iterable[Signal]) -> AsyncIterator[Signal]:
    for signal in signals:
        yield signal
