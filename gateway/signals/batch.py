"""A batch: NDJSON in, one result for each line out, both streamed; valid lines are kept if others are not.

Invariant: results come in the order of the lines, one for each. Responses stream while the client is still sending (results queue
up meanwhile, bounded by the limit of lines). Bodies are never fully buffered, and a stalled upload times out. A batch ends when
its sender has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from gateway.commands.admission import AdmissionReceipt, Prepared, SignalAdmission, instant
from gateway.http.connection import is_gone
from gateway.http.problems import Problem, count_problem, unwound
from gateway.http.request_body import Inflater, LineSplitter, pieces
from gateway.settings import GatewaySettings
from gateway.signals.batch_turns import Turns
from gateway.signals.parsing import SignalParser
from schemas.security import PlaceCipher
from stream_processors.runtime.metrics import GATEWAY as METRICS

MEDIA_TYPE = "application/x-ndjson"
_SLICE_S = 0.005
"""Time that a batch may read lines before other requests get their turn. By time, because one line can take as long as many."""
_DRAINED_BYTES = 8 << 20
FAULTS_IN_FULL = 2000
"""From this many faults on, a refused line names its first fault only, or the response could be much larger than the body."""


class BatchReply:
    """An ASGI response that reads the request while it answers."""

    def __init__(
        self,
        request: Request,
        settings: GatewaySettings,
        intake: SignalParser,
        admission: SignalAdmission,
        turns: Turns,
        institution: str,
        gzip: bool,
    ) -> None:
        self._request = request
        self._settings = settings
        self._intake = intake
        self._admission = admission
        self._turns = turns
        self._institution = institution
        self._gzip = gzip
        self._line = 0
        self._faults = 0
        self._turn_ends = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        results: asyncio.Queue[bytes | None] = asyncio.Queue()
        writer = asyncio.create_task(_write_results(results, send))
        with self._admission.batch(self._institution):
            try:
                await self._read_lines(results)
                results.put_nowait(None)
                await writer
            except ClientDisconnect:
                return
            finally:
                writer.cancel()
                await asyncio.wait((writer,))

    async def _read_lines(self, results: asyncio.Queue[bytes | None]) -> None:
        try:
            async for chunk in self._read_chunks(results):
                results.put_nowait(await self._process_chunk(chunk))
        except Problem as problem:
            count_problem(problem.kind.slug, problem.kind.status)
            results.put_nowait(_write_result(self._line + 1, problem, self._admission.places))
            if problem.kind.slug != "body-timeout":
                await self._drain_body()

    async def _read_chunks(self, results: asyncio.Queue[bytes | None]) -> AsyncIterator[list[bytes | None]]:
        """Lines in chunks. Lines read before a Problem are yielded before it is raised."""
        chunk: list[bytes | None] = []
        lines = 0
        try:
            async for line in self._split_lines():
                lines += 1
                if lines > self._settings.batch_limit_lines:
                    raise Problem("too-many-lines", f"a batch has at most {self._settings.batch_limit_lines} lines")
                chunk.append(line)
                if len(chunk) >= self._settings.chunk_lines:
                    yield chunk
                    chunk = []
        except Problem:
            if chunk:
                results.put_nowait(await self._process_chunk(chunk))
            raise
        if chunk:
            yield chunk

    async def _split_lines(self) -> AsyncIterator[bytes | None]:
        splitter = LineSplitter(self._settings.line_limit_bytes)
        inflater = Inflater(self._settings.batch_decompressed_limit_bytes) if self._gzip else None
        size = 0
        async for data in pieces(self._request, self._settings.body_idle_s):
            size += len(data)
            if size > self._settings.batch_limit_bytes:
                raise Problem("body-too-large", f"the body exceeds {self._settings.batch_limit_bytes} bytes")
            for plain in _inflate_piece(data, inflater):
                await self._give_way()
                for line in splitter.feed(plain):
                    yield line
        if inflater is not None:
            inflater.end()
        for line in splitter.end():
            yield line

    async def _process_chunk(self, chunk: list[bytes | None]) -> bytes:
        """One result for each line; empty lines are counted and skipped."""
        closed = self._admission.closed(self._institution)
        outcomes: list[AdmissionReceipt | Problem | None] = [closed] * len(chunk)
        if closed is None:
            outcomes = await self._accept_chunk(chunk)
        parts = []
        problems: Counter[tuple[str, int]] = Counter()
        replayed = 0
        for line, outcome in zip(chunk, outcomes, strict=True):
            self._line += 1
            if outcome is None or (line is not None and not line.strip()):
                continue
            if isinstance(outcome, Problem):
                self._shorten_problem(outcome)
            parts.append(_write_result(self._line, outcome, self._admission.places))
            if isinstance(outcome, Problem):
                problems[outcome.kind.slug, outcome.kind.status] += 1
            else:
                replayed += outcome.replayed
        METRICS.replayed.inc(replayed)
        for (slug, status), n in problems.items():
            count_problem(slug, status, n)
        return b"".join(parts)

    async def _accept_chunk(self, chunk: list[bytes | None]) -> list[AdmissionReceipt | Problem | None]:
        outcomes: list[AdmissionReceipt | Problem | None] = [None] * len(chunk)
        prepared: list[Prepared] = []
        places: list[int] = []
        for place, line in enumerate(chunk):
            await self._give_way()
            if line is None:
                outcomes[place] = Problem("line-too-long", f"a line has at most {self._settings.line_limit_bytes} bytes")
            elif line.strip():
                try:
                    prepared.append(self._intake.read(line, self._institution))
                    places.append(place)
                except Problem as problem:
                    unwound(problem)
                    outcomes[place] = problem
        if prepared:
            for place, answer in zip(places, await self._admission.accept(prepared, self._institution), strict=True):
                outcomes[place] = answer
        return outcomes

    def _shorten_problem(self, problem: Problem) -> None:
        faults = problem.more.get("errors") or []
        if self._faults > FAULTS_IN_FULL and len(faults) > 1:
            problem.more |= {"errors": faults[:1], "errors_omitted": len(faults) - 1}
        self._faults += len(faults)

    async def _give_way(self) -> None:
        """ClientDisconnect if nobody waits for the results any more."""
        if time.perf_counter() >= self._turn_ends:
            if is_gone(self._request.scope):
                raise ClientDisconnect
            await self._turns.wait(self._institution)
            self._turn_ends = time.perf_counter() + _SLICE_S

    async def _drain_body(self) -> None:
        """Reads on for a limited time: a client that is still sending would otherwise get a reset in place of its results. The
        limit covers all of it, because discarded data is not worth waiting for, however steadily it arrives."""
        remaining = _DRAINED_BYTES
        with contextlib.suppress(ClientDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(self._settings.body_idle_s):
                async for data in self._request.stream():
                    remaining -= len(data)
                    if remaining < 0:
                        return


def _inflate_piece(data: bytes, inflater: Inflater | None) -> Iterator[bytes]:
    return iter((data,)) if inflater is None else inflater.feed(data)


def _write_result(line: int, outcome: AdmissionReceipt | Problem, places: PlaceCipher) -> bytes:
    if isinstance(outcome, Problem):
        return orjson.dumps({"line": line, "status": outcome.kind.status, "problem": outcome.body()}) + b"\n"
    record = outcome.record
    result: dict[str, object] = {
        "line": line,
        "status": 202,
        "signal_id": record.signal_id,
        "accepted_at": instant(record.accepted_ms),
        "receipt": outcome.sealed(places),
    }
    if outcome.replayed:
        result["replayed"] = True
    result |= outcome.more()
    return orjson.dumps(result) + b"\n"


async def _write_results(results: asyncio.Queue[bytes | None], send: Send) -> None:
    headers = [(b"content-type", MEDIA_TYPE.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while (part := await results.get()) is not None:
        if part:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
