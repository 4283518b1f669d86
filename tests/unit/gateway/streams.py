"""A live connection without a socket: the ASGI app driven by hand, and a source of changes that a test feeds."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from gateway.http.connection import EXTENSION
from gateway.live.rows import FeedPlace, LiveRow
from schemas.cases.case import Case
from schemas.topics import CASE_CHANGES
from stream_processors.runtime.log import partition_of
from stream_processors.views.reading import Rebuilding

LOG = "1f0a93bc"


class FakeSource:
    """`tell` appends a change; a case is always one partition's. `broken` makes the next read fail."""

    def __init__(self, begins_at: int = 0) -> None:
        self.offsets = [begins_at] * CASE_CHANGES.partitions
        self.waiting: list[LiveRow] = []
        self.broken = self.rebuilding = False
        self.begun = self.closed = 0
        self._more = asyncio.Event()

    def tell(self, *cases: Case) -> None:
        for case in cases:
            partition = partition_of(case.case_id.encode(), CASE_CHANGES.partitions)
            self.waiting.append(LiveRow(case, partition, self.offsets[partition]))
            self.offsets[partition] += 1
        self._more.set()

    def break_off(self) -> None:
        self.broken = True
        self._more.set()

    async def begin(self) -> None:
        if self.rebuilding:
            raise Rebuilding("not whole")
        self.begun += 1

    async def more(self) -> list[LiveRow]:
        if not self.waiting and not self.broken:
            self._more.clear()
            try:
                await asyncio.wait_for(self._more.wait(), 0.02)
            except TimeoutError:
                return []
        if self.broken:
            self.broken = False
            raise Rebuilding("made anew")
        rows, self.waiting = self.waiting, []
        return rows

    @property
    def place(self) -> FeedPlace:
        waiting = {row.partition: row.offset for row in reversed(self.waiting)}
        return FeedPlace(LOG, tuple(waiting.get(p, at) for p, at in enumerate(self.offsets)))

    async def close(self) -> None:
        self.closed += 1


class Told(NamedTuple):
    """One event. `at` is the loop's time when it came."""

    kind: str
    data: dict[str, Any]
    id: str | None
    at: float


class Connection:
    """The client's end, and the server's transport. Without `reading` the server's `send` blocks as with a full socket."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.events: asyncio.Queue[Told] = asyncio.Queue()
        self.comments = 0
        self.ended = asyncio.Event()
        self.aborted = False
        self.closing = self.reset = False
        self.reading = asyncio.Event()
        self.reading.set()
        self._gone = asyncio.Event()
        self._text = ""

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def set_write_buffer_limits(self, high: int) -> None:
        if self.closing:
            raise RuntimeError("the handler is closed")  # as uvloop
        assert high <= 1 << 20

    def get_extra_info(self, name: str) -> Any:
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        if self.reset:
            raise OSError(9, "Bad file descriptor")
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_SNDBUF)

    def go(self) -> None:
        self._gone.set()

    async def receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        await self.reading.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self.body += message.get("body", b"")
        self._text += message.get("body", b"").decode()
        *blocks, self._text = self._text.split("\n\n")
        for block in blocks:
            self._take(block)

    def _take(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        self.comments += block.startswith(":")
        if "data" in fields:
            now = asyncio.get_running_loop().time()
            self.events.put_nowait(Told(fields["event"], json.loads(fields["data"]), fields.get("id"), now))

    async def next(self, kind: str | None = None) -> Told:
        """The next event, of this kind if one is named."""
        while True:
            told = await asyncio.wait_for(self.events.get(), 5)
            if kind in (None, told.kind):
                return told


@asynccontextmanager
async def listening(app: Any, path: str, token: str, last_id: str | None = None, gone: str = "") -> AsyncIterator[Connection]:
    """An open connection; the client goes at the end of the block. `gone`: it went before, and the transport is "closing", or
    does not know it yet ("reset")."""
    connection = Connection()
    connection.closing, connection.reset = gone == "closing", gone == "reset"
    if gone:
        connection.go()
    path, _, query = path.partition("?")
    headers = [(b"authorization", f"Bearer {token}".encode())]
    if last_id is not None:
        headers.append((b"last-event-id", last_id.encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "server": ("gateway", 80),
        "extensions": {EXTENSION: {"transport": connection}},
    }

    async def serve() -> None:
        await app(scope, connection.receive, connection.send)
        connection.ended.set()

    serving = asyncio.create_task(serve())
    try:
        yield connection
    finally:
        connection.go()
        connection.reading.set()
        await asyncio.wait_for(serving, 5)
