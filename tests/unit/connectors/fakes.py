"""A gateway in memory and one over HTTP, both counting by reference, and stores that can be killed at any moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from connectors.contract import START, Progress, Reject, SignalAnswer


class Killed(BaseException):
    """The process ends here; nothing may catch it."""


class FakeGateway:
    """Takes bodies by reference, refuses those whose `region` is `bad`. `on_send` may raise before or after they are taken."""

    def __init__(self, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None) -> None:
        self.taken: dict[str, Mapping[str, Any]] = {}
        self.order: list[str] = []
        self.batches: list[int] = []
        self.before, self.after = before, after

    async def send(self, bodies: Sequence[Mapping[str, Any]]) -> list[SignalAnswer]:
        self.before()
        self.batches.append(len(bodies))
        answers = [self._take(body) for body in bodies]
        self.after()
        return answers

    def _take(self, body: Mapping[str, Any]) -> SignalAnswer:
        if body["region"] == "bad":
            return SignalAnswer("refused", reason="not valid: /region")
        reference = body["reference"]
        known = reference in self.taken
        assert not known or self.taken[reference] == body, f"{reference} came with another body"
        if not known:
            self.taken[reference] = body
            self.order.append(reference)
        return SignalAnswer("accepted", "sig-" + reference, "2026-03-01T00:00:00Z", f"0/{self.order.index(reference)}", known)


class MemoryCursor:
    """Outlives the engine, as a file does."""

    def __init__(self, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None) -> None:
        self.saved = Progress(START)
        self.before, self.after = before, after

    def load(self) -> Progress:
        return self.saved

    def save(self, progress: Progress) -> None:
        self.before()
        self.saved = progress
        self.after()


class MemoryRejects:
    def __init__(self, after: Callable[[], None] = lambda: None) -> None:
        self.rows: list[Reject] = []
        self.after = after

    def rewind(self, length: int) -> None:
        del self.rows[length:]

    def write(self, rejects: Sequence[Reject]) -> int:
        self.rows += rejects
        self.after()
        return len(self.rows)


class HttpStub:
    """`POST /v1/signals/batch` over real HTTP: a thread, a port, and what arrived. `answer` may be replaced."""

    def __init__(self) -> None:
        self.arrived: list[dict[str, Any]] = []
        self.taken: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()
        self.requests = 0
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                out = stub.answer([json.loads(line) for line in raw.splitlines()])
                self.send_response(200)
                self.send_header("content-type", "application/x-ndjson")
                self.send_header("content-length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, bodies: list[dict[str, Any]]) -> bytes:
        lines = []
        with self.lock:
            self.requests += 1
            for number, body in enumerate(bodies, 1):
                self.arrived.append(body)
                if body["region"] == "999999":
                    lines.append({"line": number, "status": 422, "problem": {"type": "urn:x:invalid-signal", "title": "bad"}})
                    continue
                if " " in body["indicators"][0]["value"]:
                    fault = {"pointer": "/indicators/0/value", "detail": "two numbers; send one indicator each"}
                    problem = {"type": "urn:x:invalid-signal", "title": "The signal is not valid", "errors": [fault]}
                    lines.append({"line": number, "status": 422, "problem": problem})
                    continue
                known = self.taken.setdefault(body["reference"], body)
                assert known == body
                receipt = f"0/{len(self.taken) - 1}"
                line = {"line": number, "status": 202, "signal_id": "s", "accepted_at": "x", "receipt": receipt}
                account = body["indicators"][0]["value"]
                if account.endswith("3"):
                    line["advisories"] = [{"pointer": "/indicators/0/value", "code": "odd", "detail": "ends with 3"}]
                lines.append(line)
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
