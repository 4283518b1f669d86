"""The load while things break: institutions that send until they are acknowledged, correct and take back, and all who work in the
loop (simulated_users.py), or changes its endpoints (hooks.py).

Invariant: a sender stops only at an answer that is final, and the ledger knows exactly what the system promised.
"""

from __future__ import annotations

import asyncio
import json
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

from connectors.contract import SignalAnswer
from deploy.demo.generate import INSTITUTIONS, Planned, generate
from deploy.verify.ledger import Ledger
from tests.chaos.client import Client
from tests.chaos.hooks import Hooks
from tests.chaos.simulated_users import Body, Institutions, Officer, Talk, Units, Worker
from tests.oracle.request_journal import Bookkeeper
from tests.oracle.sender import send_all

BATCH = 20
PAUSE_S = 0.3
OFFICERS = 3
EVERY_CORRECTED, EVERY_TAKEN_BACK, EVERY_TAKEN_BACK_FIRST = 20, 15, 40
"""Of so many signals one is corrected later on, taken back, or taken back while it is on its way."""
WHY = "a false alarm"


def _corrected(planned: Planned) -> Planned:
    """The second version: another amount."""
    return replace(planned, body={**planned.body, "version": 2, "amount": {"minor": 123_400, "currency": "CNY"}})


class Load:
    """`start`, break things, `stop`: stop returns when everything that was sent is acknowledged or finally refused."""

    def __init__(self, url: str, mint: Callable[..., str], ledger: Ledger, book: Bookkeeper, *, seed: int) -> None:
        self._url, self._mint, self._ledger, self._seed = url, mint, ledger, seed
        self._plan = generate(1_000_000, seed=seed, run=f"chaos{seed}")
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answered = 0
        self.refused = 0
        self.retracted = 0
        self.failed: list[BaseException] = []
        self._unwanted: queue.SimpleQueue[Planned] = queue.SimpleQueue()
        common = (url, mint, book, self._stopping, Talk())
        self._workers: list[Worker] = [Officer(*common, name=f"officer-{n}", seed=seed * 100 + n) for n in range(OFFICERS)]
        self._workers += [Institutions(*common, names=INSTITUTIONS[n::3], seed=seed * 100 + 50 + n) for n in range(3)]
        self._workers += [Units(*common, seed=seed * 100 + 60), Body(*common, seed=seed * 100 + 61)]
        self.hooks = Hooks(url, mint, self._stopping, seed=seed * 100 + 70)

    def start(self, *, changes_endpoints: bool = True) -> None:
        hooks = (self.hooks.work,) if changes_endpoints else ()
        for work in (self._send, self._take_back, *hooks, *(one.work for one in self._workers)):
            thread = threading.Thread(target=self._guarded, args=(work,), daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def acted(self) -> int:
        """What people in the loop asked for and was done."""
        return sum(one.acted for one in self._workers)

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
                journal.answered(0, SignalAnswer("accepted", said["signal_id"], said["accepted_at"], said["receipt"]))
                self.retracted += 1
                break
            if 400 <= status < 500 and status not in (409, 429):
                journal.answered(0, SignalAnswer("refused", problem=json.loads(answer)))
                break
            journal.failed([0], f"status {status}", taken=None)
            time.sleep(0.1)
        journal.settled()
