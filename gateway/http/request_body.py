"""Limits of a request: bytes, depth, media types, lines, decompressed size.

Invariant: memory per body is bounded, stalled bodies time out, and depth is checked before parsing.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request

from gateway.http.call import Call
from gateway.http.problems import Problem, of_refused
from schemas.common import Exact
from schemas.parsing import Model, Refused, read, refused

_INFLATE_STEP_BYTES = 256 << 10
_MEMBERS = 20_000
"""gzip members of a body: one for each line of the largest batch. An empty one yields nothing, but costs 5 us and a copy."""


LEAST_BYTES_A_SECOND = 200
"""A slower body ends after its idle time. At one byte a second a client could hold a connection for days."""


async def pieces(request: Request, idle_s: float) -> AsyncIterator[bytes]:
    """Yields the body as it arrives; 408 if it stalls or is too slow. Only the time spent waiting for the sender counts, not the
    time spent on its lines."""
    stream, clock = request.stream(), asyncio.get_running_loop().time
    size, waited_s = 0, 0.0
    while True:
        began = clock()
        try:
            async with asyncio.timeout(min(idle_s, _allowed_s(size, idle_s) - waited_s)):
                piece = await anext(stream, None)
        except TimeoutError:
            raise _refuse_stalled(idle_s) from None
        if piece is None:
            return
        waited_s += clock() - began
        size += len(piece)
        yield piece


def _allowed_s(size: int, idle_s: float) -> float:
    """The time that a wait for this many bytes may take."""
    return idle_s + size / LEAST_BYTES_A_SECOND


async def read_body(request: Request, limit_bytes: int, idle_s: float) -> bytes:
    """Returns the whole body; 413 as soon as it exceeds the limit, 408 if it stalls or is too slow."""
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > limit_bytes:
        raise _too_large(limit_bytes)
    parts: list[bytes] = []
    size, loop = 0, asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(idle_s) as limit:
            async for part in request.stream():
                size += len(part)
                limit.reschedule(min(loop.time() + idle_s, began + _allowed_s(size, idle_s)))
                if size > limit_bytes:
                    raise _too_large(limit_bytes)
                parts.append(part)
    except TimeoutError:
        raise _refuse_stalled(idle_s) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refuse_stalled(idle_s: float) -> Problem:
    """The connection cannot be reused: its next bytes would still belong to this body."""
    detail = f"no part of the body arrived for {idle_s:g} s, or it arrived at less than {LEAST_BYTES_A_SECOND} bytes per second"
    return Problem("body-timeout", detail, headers={"Connection": "close"})


def _too_large(limit_bytes: int) -> Problem:
    return Problem("body-too-large", f"the body exceeds {limit_bytes} bytes", limit_bytes=limit_bytes)


def media_type(request: Request, *accepted: str) -> None:
    """415 unless the body is declared as one of these."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared not in accepted:
        raise Problem("unsupported-media-type", f"send Content-Type: {accepted[0]}")


def encoding(request: Request, *, gzip_ok: bool) -> bool:
    """Whether the body is gzip; 415 for any other coding."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return False
    if gzip_ok and coding in ("gzip", "x-gzip"):
        return True
    allowed = "gzip or none" if gzip_ok else "none"
    raise Problem("unsupported-media-type", f"this Content-Encoding is not supported here; allowed: {allowed}")


def validated(model: type[Model], raw: bytes, slug: str, depth_limit: int) -> Model:
    """The model of a JSON body. Problem `slug` with a pointer and a sentence for each fault."""
    try:
        return read(model, raw, slug, depth_limit)
    except Refused as refusal:
        raise of_refused(refusal) from None


async def read_json(call: Call, model: type[Model]) -> Model:
    """Reads the JSON body. No body is an empty object, which some requests accept."""
    settings = call.services.settings
    encoding(call.request, gzip_ok=False)
    raw = await read_body(call.request, settings.body_limit_bytes, settings.body_idle_s)
    if raw:
        media_type(call.request, "application/json")
    return validated(model, raw or b"{}", "invalid-request", settings.json_depth_limit)


def read_query(call: Call, model: type[Model]) -> Model:
    """Reads the query, each parameter once."""
    try:
        return model.model_validate(dict(call.request.query_params))
    except ValidationError as error:
        raise of_refused(refused(error, "invalid-request")) from None


class RequestBody(Exact):
    """Base of the bodies of requests: unknown members are refused, spaces around a text do not count."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class RequestQuery(BaseModel):
    """Base of queries: unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid")


class Inflater:
    """gzip to plain bytes in bounded steps; several members are allowed. Problem if it is damaged or exceeds the limit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._member = zlib.decompressobj(31)
        self._members = 0
        self._fresh = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._fresh = False
            try:
                plain = self._member.decompress(data, _INFLATE_STEP_BYTES)
            except zlib.error:
                raise Problem("invalid-encoding", "the body is not valid gzip") from None
            self._size += len(plain)
            if self._size > self._limit:
                raise Problem("body-too-large", f"the decompressed body exceeds {self._limit} bytes", limit_bytes=self._limit)
            if plain:
                yield plain
            if self._member.eof:
                self._members += 1
                if self._members > _MEMBERS:
                    raise Problem("invalid-encoding", f"the body has more than {_MEMBERS} gzip members")
                data = self._member.unused_data.lstrip(b"\0")
                self._member, self._fresh = zlib.decompressobj(31), True
            else:
                data = self._member.unconsumed_tail
                if not data and len(plain) == _INFLATE_STEP_BYTES:
                    yield from self._held_back()
                    return

    def _held_back(self) -> Iterator[bytes]:
        """Output that zlib still holds after its input is used up."""
        while plain := self._member.decompress(b"", _INFLATE_STEP_BYTES):
            self._size += len(plain)
            if self._size > self._limit:
                raise Problem("body-too-large", f"the decompressed body exceeds {self._limit} bytes", limit_bytes=self._limit)
            yield plain

    def end(self) -> None:
        if not self._fresh:
            raise Problem("invalid-encoding", "the gzip body is truncated")


class LineSplitter:
    """Splits bytes into lines. An overlong line is returned as None and costs no memory; its bytes are skipped."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._tail = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield self._take_line(data[start:end])
            start = end + 1
        if not self._skipping:
            self._tail += data[start:]
            if len(self._tail) > self._limit + 1:
                self._tail.clear()
                self._skipping = True

    def end(self) -> Iterator[bytes | None]:
        if self._tail or self._skipping:
            yield self._take_line(b"")

    def _take_line(self, rest: bytes) -> bytes | None:
        skipping, self._skipping = self._skipping, False
        line = bytes(self._tail) + rest if self._tail else rest
        self._tail.clear()
        if skipping or len(line) > self._limit + line.endswith(b"\r"):
            return None
        return line
