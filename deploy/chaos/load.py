"""The load while things break: institutions that send until they are acknowledged, correct and take back, officers who take, hand
over and dispose.

Invariant: a sender stops only at an answer that is final, and the ledger knows exactly what the system promised.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from connectors.port import Answer
from deploy.demo_data.generate import Planned, generate
from deploy.verify.ledger import Ledger
from deploy.verify.sender import send_all

BATCH = 20
PAUSE_S = 0.03
EVERY_CORRECTED, EVERY_TAKEN_BACK, EVERY_TAKEN_BACK_FIRST = 20, 15, 40
"""Of so many signals one is corrected later on, taken back, or taken back while it is on its way."""
QUEUES = [f"public-security-{code}" for code in ("630200", "630202", "630203", "630222", "630223", "630224", "630225")] + [
    "financial-regulator-630200"
]


WHY = "a false alarm"


def _corrected(planned: Planned) -> Planned:
    """The second version: another amount."""
    return replace(planned, body={**planned.body, "version": 2, "amount": {"minor": 123_400, "currency": "CNY"}})


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

    def __init__(self, url: str, mint: Callable[..., str], ledger: Ledger, *, seed: int) -> None:
        self._url, self._mint, self._ledger, self._seed = url, mint, ledger, seed
        self._plan = generate(1_000_000, seed=seed, run=f"chaos{seed}")
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answered = 0
        self.refused = 0
        self.moves = 0
        self.retracted = 0
        self.failed: list[BaseException] = []
        self._unwanted: queue.SimpleQueue[Planned] = queue.SimpleQueue()

    def start(self) -> None:
        for work in (self._send, self._act, self._act, self._take_back):
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
        """Sends until told to stop, and then until the last line has its answer."""
        counts = asyncio.run(
            send_all(
                self._until_stopped(),
                gateway_url=self._url,
                token=cache(self._mint),
                ledger=self._ledger,
                batch=BATCH,
                progress=self._on_progress,
            )
        )
        self.refused = counts["refused"]

    def _until_stopped(self) -> Iterator[Planned]:
        """The plan, with corrections: at once, in the same batch, or some hundred lines later."""
        rng, wrong = random.Random(self._seed), deque[Planned]()
        for number, planned in enumerate(self._plan):
            if self._stopping.is_set():
                return
            if number % BATCH == 0:
                time.sleep(PAUSE_S)
            if number % EVERY_TAKEN_BACK_FIRST == 1:
                self._unwanted.put(planned)
            yield planned
            if number % EVERY_CORRECTED == 2:
                wrong.append(planned)
                if rng.random() < 0.5:
                    yield _corrected(wrong.pop())
                elif len(wrong) > 5:
                    yield _corrected(wrong.popleft())
            if number % EVERY_TAKEN_BACK == 3:
                self._unwanted.put(planned)

    def _on_progress(self, lines: int) -> None:
        self.answered += lines

    def _take_back(self) -> None:
        """Retractions, each sent until it has its answer."""
        client = Client(self._url)
        token = cache(self._mint)
        while not (self._stopping.is_set() and self._unwanted.empty()):
            try:
                planned = self._unwanted.get(timeout=0.2)
            except queue.Empty:
                continue
            if "reference" in planned.body:
                self._retract(client, planned.institution, token(planned.institution), str(planned.body["reference"]))

    def _retract(self, client: Client, who: str, token: str, reference: str) -> None:
        journal = self._ledger.journal(who)([{"reference": reference, "retract": WHY}])
        raw = json.dumps({"reference": reference, "reason": WHY}).encode()
        while True:
            journal.trying([0])
            status, answer = client.ask("POST", "/v1/retractions", token, raw, Content_Type="application/json")
            if status == 202:
                said = json.loads(answer)
                at = said["position"]
                place = (at["topic"], at["partition"], at["offset"])
                journal.answered(0, Answer("accepted", said["signal_id"], said["accepted_at"], place))
                self.retracted += 1
                break
            if 400 <= status < 500 and status not in (409, 429):
                journal.answered(0, Answer("refused", problem=json.loads(answer)))
                break
            journal.failed([0], f"status {status}", taken=None)
            time.sleep(0.1)
        journal.settled()

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
