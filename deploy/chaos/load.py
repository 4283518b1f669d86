"""The load while things break: institutions that send until they are acknowledged, officers who take, hand over and dispose.

Invariant: a sender remembers a signal before it sends it and stops only at an answer that is final, so the ledger knows
exactly what the system promised.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from deploy.chaos.ledger import Remembers
from deploy.demo_data.generate import Planned, generate

BATCH = 20
PAUSE_S = 0.03
QUEUES = [f"public-security-{code}" for code in ("630200", "630202", "630203", "630222", "630223", "630224", "630225")] + [
    "financial-regulator-630200"
]


class Client:
    """One keep-alive connection; every failure closes it and is told as status 0."""

    def __init__(self, url: str) -> None:
        self._where = urlsplit(url).netloc
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, token: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._where, timeout=15)
            sent = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return 0, b""


class Load:
    """`start`, break things, `stop`: stop returns when everything that was sent is acknowledged or finally refused."""

    def __init__(self, url: str, mint: Callable[..., str], ledger: Remembers, *, seed: int, total: int = 1_000_000) -> None:
        self._url, self._mint, self._ledger, self._seed = url, mint, ledger, seed
        self._plan = generate(total, seed=seed, run=f"chaos{seed}")
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.acknowledged = 0
        self.refused = 0
        self.moves = 0
        self.failed: list[BaseException] = []

    def start(self) -> None:
        for work in (self._send, self._act, self._act):
            thread = threading.Thread(target=self._guarded, args=(work,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout_s: float = 120) -> None:
        """Lets senders finish what they began. Raises what a thread raised, and TimeoutError when one does not end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout_s)
        if self.failed:
            raise self.failed[0]
        if any(thread.is_alive() for thread in self._threads):
            raise TimeoutError(f"a sender was not acknowledged within {timeout_s:.0f} s after the last break")

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.failed.append(error)

    def _send(self) -> None:
        client = Client(self._url)
        tokens: dict[str, str] = {}
        while not self._stopping.is_set():
            lines = [next(self._plan) for _ in range(BATCH)]
            by_sender: dict[str, list[Planned]] = {}
            for line in lines:
                by_sender.setdefault(line.institution, []).append(line)
            for sender, planned in by_sender.items():
                tokens.setdefault(sender, self._mint(sender))
                self._until_answered(client, sender, tokens[sender], [line.body for line in planned])
            time.sleep(PAUSE_S)

    def _until_answered(self, client: Client, sender: str, token: str, bodies: list[dict[str, Any]]) -> None:
        waiting = bodies
        while waiting:
            self._ledger.sending(sender, waiting)
            raw = b"\n".join(json.dumps(body, ensure_ascii=False).encode() for body in waiting)
            status, answer = client.ask("POST", "/v1/signals/batch", token, raw, Content_Type="application/x-ndjson")
            results: list[dict[str, Any] | None] = [None] * len(waiting)
            if status == 200:
                for text in answer.splitlines():
                    try:
                        row = json.loads(text)
                        results[row["line"] - 1] = row
                    except (ValueError, KeyError, IndexError):
                        continue  # the answer was cut: what has no result is sent again
            elif status not in (0, 409, 429) and status < 500:
                raise AssertionError(f"the gateway answered {status} to a good batch: {answer[:500]!r}")
            waiting = self._sort(sender, waiting, results)
            if waiting:
                time.sleep(0.1)

    def _sort(self, sender: str, sent: list[dict[str, Any]], results: list[dict[str, Any] | None]) -> list[dict[str, Any]]:
        again = []
        for body, row in zip(sent, results, strict=True):
            status = row["status"] if row else 0
            if row and status == 202:
                self.acknowledged += 1
                self._ledger.answered(sender, body, row)
            elif row and status == 422:
                self.refused += 1
                self._ledger.answered(sender, body, row)
            elif status in (0, 409, 429) or status >= 500:
                again.append(body)
            else:
                raise AssertionError(f"a line was answered {row}")
        return again

    def _act(self) -> None:
        """An officer: next, then renew, hand over, release or dispose; conflicts are part of the day."""
        number = len(self._threads)
        officer = f"officer-{number}"
        rng, client = random.Random(self._seed * 100 + number), Client(self._url)
        token = self._mint(officer, role="officer", queues=["*"])
        while not self._stopping.is_set():
            key = f"{officer}-{rng.getrandbits(40)}"
            status, answer = client.ask(
                "POST", f"/v1/queues/{rng.choice(QUEUES)}/next", token, b"{}", Content_Type="application/json"
            )
            if status == 200:
                case = json.loads(answer)
                self._move(client, token, case, rng.choice(["release", "renew", "hand-over", "dispose"]), rng, key)
            elif status not in (0, 202, 204, 404, 409, 429) and status < 500:
                raise AssertionError(f"next was answered {status}: {answer[:300]!r}")
            time.sleep(0.05)

    def _move(self, client: Client, token: str, case: dict[str, Any], move: str, rng: random.Random, key: str) -> None:
        body: dict[str, Any] = {"revision": case["revision"]}
        if move == "hand-over":
            body["to"] = f"officer-{rng.randrange(9)}"
        if move == "dispose":
            body["disposition"] = rng.choice(["confirmed", "false_positive", "insufficient"])
        path, raw = f"/v1/cases/{case['case_id']}/{move}", json.dumps(body).encode()
        for _ in range(3):
            status, answer = client.ask("POST", path, token, raw, Content_Type="application/json", Idempotency_Key=key)
            if status == 200:
                self.moves += 1
            if status in (200, 202, 409):
                return
            if 0 < status < 500 and status != 429:
                raise AssertionError(f"{move} was answered {status}: {answer[:300]!r}")
            time.sleep(0.2)
