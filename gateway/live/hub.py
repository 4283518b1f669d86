"""Distributes changes to listening clients. One source for each process while somebody listens; memory is bounded.

Invariant: a client gets changes of permitted queues only, and a slow client costs the others nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable

from gateway.http.caller import Caller
from gateway.http.pagination import parse_cursor, write_cursor
from gateway.http.problems import later
from gateway.live.coalesce import Coalescer
from gateway.live.rows import FeedPlace, LiveRow, Render, reaches, read_place, write_place
from gateway.live.source import ChangeSource, MakeSource
from gateway.rendering.queues import QueueOut
from gateway.settings import GatewaySettings
from schemas.security import Tokenizer
from stream_processors.runtime.metrics import GATEWAY as METRICS

logger = logging.getLogger("liandong.gateway")

Wants = Callable[[str], bool]
CountQueues = Callable[[Wants], Awaitable[list[QueueOut]]]
_RETRY_S = 0.5


class LiveClient:
    """One connection. `wake` is set for an update. Before it has `begun` it gets nothing, because its start is unknown."""

    def __init__(self, caller: Caller, wants: Wants, coalescer: Coalescer) -> None:
        self.caller, self.coalescer = caller, coalescer
        self.wake = asyncio.Event()
        self.begun = False
        self._wants, self._wanted_queues = wants, dict[str, bool]()

    def wants(self, queue: str) -> bool:
        wants_queue = self._wanted_queues.get(queue)
        if wants_queue is None:
            wants_queue = self._wanted_queues[queue] = self._wants(queue)
        return wants_queue

    def offer(self, row: LiveRow) -> None:
        if self.wants(row.case.queue):
            self.coalescer.offer(row)
            self.wake.set()

    def reset(self, reason: str) -> None:
        self.coalescer.reset(reason)
        self.wake.set()

    def count(self, counts: Iterable[tuple[str, bytes]]) -> None:
        for queue, queue_counts in counts:
            if self.wants(queue):
                self.coalescer.count(queue, queue_counts)
                self.wake.set()


class Hub:
    """`join` before the first event, `leave` after the last, `drain` before the process ends."""

    def __init__(
        self, settings: GatewaySettings, make: MakeSource, count: CountQueues, render: Render, tokenizer: Tokenizer
    ) -> None:
        self._settings, self._make, self._count, self.render, self._tokenizer = settings, make, count, render, tokenizer
        self.clients: set[LiveClient] = set()
        self._officers: Counter[str] = Counter()
        self._rows: OrderedDict[str, LiveRow] = OrderedDict()
        self._floor: dict[int, int] = {}
        self._counts: dict[str, bytes] = {}
        self._ready = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._left_at = 0.0
        self._changed = False
        self.place = FeedPlace("", ())
        self._signed = (self.place, "")
        self.draining = False

    @property
    def event_id(self) -> str:
        """The signed cursor of the present place: the same for all clients, so it is signed once."""
        if self._signed[0] != self.place:
            self._signed = self.place, write_cursor(self._tokenizer, write_place(self.place), "live")
        return self._signed[1]

    def _place_of(self, last_id: str | None) -> FeedPlace | None:
        signed = parse_cursor(last_id or "")
        return read_place(signed.payload) if signed is not None and signed.is_signed_for(self._tokenizer, "live") else None

    async def join(self, caller: Caller, wants: Wants, last_id: str | None) -> LiveClient:
        """Problem if there are too many, or if the log or the views are unavailable."""
        limits = self._settings
        if self.draining or len(self.clients) >= limits.live_clients_limit:
            raise later("overloaded", "this gateway has reached its limit of live connections", limits.retry_after_s)
        if self._officers[caller.subject] >= limits.live_per_officer_limit:
            detail = f"an officer has at most {limits.live_per_officer_limit} live connections to a gateway; close one"
            raise later("too-many-streams", detail, limits.retry_after_s)
        client = LiveClient(caller, wants, self._make_coalescer())
        self.clients.add(client)
        self._officers[caller.subject] += 1
        METRICS.live_clients.set(len(self.clients))
        try:
            await self._be_ready()
        except BaseException:
            self.leave(client)
            raise
        self._begin_client(client, last_id)
        return client

    def leave(self, client: LiveClient) -> None:
        if client not in self.clients:
            return
        self.clients.discard(client)
        self._officers[client.caller.subject] -= 1
        if not self._officers[client.caller.subject]:
            del self._officers[client.caller.subject]
        METRICS.live_clients.set(len(self.clients))
        self._left_at = time.monotonic()

    def drain(self) -> None:
        """Ends every connection with a message; the clients reconnect to another gateway."""
        self.draining = True
        for client in self.clients:
            client.wake.set()

    async def close(self) -> None:
        self.drain()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))

    def _make_coalescer(self) -> Coalescer:
        limits = self._settings
        return Coalescer(
            every_s=1 / limits.live_updates_a_second,
            counts_every_s=limits.live_counts_every_s,
            most=limits.live_cases_held,
            rows_an_update=limits.live_cases_an_update,
        )

    async def _be_ready(self) -> None:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_source())
        try:
            async with asyncio.timeout(self._settings.live_ready_s):
                await self._ready.wait()
        except TimeoutError:
            detail = "the log or the views are unavailable, or the views are being rebuilt"
            raise later("views-rebuilding", detail, self._settings.retry_after_s) from None

    def _begin_client(self, client: LiveClient, last_id: str | None) -> None:
        """Resumes where the client was, if all later rows are kept; else the client reads its lists and continues from there."""
        client.begun = True
        since = self._place_of(last_id)
        if since is not None and since.log == self.place.log and reaches(since, self._floor):
            for row in self._rows.values():
                if not since.holds(row):
                    client.offer(row)
        else:
            client.reset("start" if last_id is None else "gap")
        client.count(self._counts.items())

    async def _run_source(self) -> None:
        """Reads while somebody listens. After an error every client reads its lists again, from a new source."""
        while not self._is_idle():
            source: ChangeSource | None = None
            try:
                source = self._make()
                await source.begin()
                await self._relay_rows(source)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever it was: the streams go on with a new source, and say so
                logger.warning("live queues interrupted: %s: %s", type(error).__name__, error)
            finally:
                self._ready.clear()
                if source is not None:
                    with contextlib.suppress(Exception):
                        await source.close()
            if not self._is_idle():
                await asyncio.sleep(_RETRY_S)

    def _is_idle(self) -> bool:
        return not self.clients and time.monotonic() - self._left_at >= self._settings.live_linger_s

    async def _relay_rows(self, source: ChangeSource) -> None:
        self._rows.clear()
        self._counts.clear()
        self.place = source.place
        self._floor = dict(enumerate(self.place.offsets))
        for client in self._begun_clients():
            client.reset("gap")
        counted_at, self._changed = -float("inf"), True
        self._ready.set()
        while not self._is_idle():
            rows = await source.more()
            self.place = source.place
            for row in rows:
                self._keep_row(row)
                for client in self._begun_clients():
                    client.offer(row)
            self._changed = self._changed or bool(rows)
            if self._changed and time.monotonic() - counted_at >= self._settings.live_counts_every_s:
                counted_at, self._changed = time.monotonic(), False
                await self._tell_counts()

    def _keep_row(self, row: LiveRow) -> None:
        """Keeps the newest row of each case for resuming clients; dropped rows raise the floor."""
        self._rows[row.case.case_id] = row
        self._rows.move_to_end(row.case.case_id)
        while len(self._rows) > self._settings.live_cases_kept:
            _, old = self._rows.popitem(last=False)
            self._floor[old.partition] = max(self._floor[old.partition], old.offset + 1)

    async def _tell_counts(self) -> None:
        fresh = {queue_out.queue: queue_out.model_dump_json().encode() for queue_out in await self._count(lambda queue: True)}
        changed = [(queue, counts) for queue, counts in fresh.items() if self._counts.get(queue) != counts]
        self._counts = fresh
        for client in self._begun_clients():
            client.count(changed)

    def _begun_clients(self) -> Iterable[LiveClient]:
        return (client for client in self.clients if client.begun)
