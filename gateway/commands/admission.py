"""Admits signals: locks the name, appends, remembers, answers. One path for one signal and for a chunk of a batch.

Invariant: a receipt is given only for a record that the broker acknowledged, now or before under the same name and body. If that
is unknown the response is 503, and the name is free for the retry.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gateway.adapters.idempotency import Idempotency, InFlight, Remembered, StateUnavailable
from gateway.adapters.kafka import DAMAGED, Position, RequestLog
from gateway.adapters.stage_lag import Lag
from gateway.commands.fair_share import Shares
from gateway.commands.submit import unacknowledged
from gateway.http.call import Call
from gateway.http.problems import Problem, later
from gateway.settings import GatewaySettings
from schemas.common import from_ms
from schemas.security import LogPlace, PlaceCipher
from schemas.signals.advisories import Advice
from schemas.signals.submission import SignalIn
from schemas.topics import RETRACTIONS, SUBMITTED, Topic
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import KeyedEntry
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.views.receipts import Receipt


class Prepared(NamedTuple):
    """A signal or a retraction that may be appended. It is remembered under `name`, which has one `body` permanently.

    `alias` is the name and body of an Idempotency-Key beside the sender's reference; `submitted` the sender's signal;
    `advisories` the warnings about it.
    """

    signal_id: str
    name: str
    body: str
    entry: KeyedEntry
    alias: tuple[str, str] | None = None
    submitted: SignalIn | None = None
    advisories: Sequence[Advice] = ()


class AdmissionReceipt(NamedTuple):
    """The response to an accepted signal. `advisories`: warnings about its body, also for a repeated one."""

    record: Remembered
    replayed: bool
    advisories: Sequence[Advice] = ()

    def body(self, places: PlaceCipher) -> dict[str, object]:
        return self._plain_body(places) | self.more()

    def more(self) -> dict[str, object]:
        """Optional members of a receipt."""
        return {"advisories": [advisory._asdict() for advisory in self.advisories]} if self.advisories else {}

    def _plain_body(self, places: PlaceCipher) -> dict[str, object]:
        record = self.record
        return {
            "signal_id": record.signal_id,
            "status": "accepted",
            "accepted_at": instant(record.accepted_ms),
            "receipt": self.sealed(places),
            "links": {"self": f"/v1/signals/{record.signal_id}"},
        }

    def sealed(self, places: PlaceCipher) -> str:
        """The encrypted position in the log: open offsets would reveal the volume of others."""
        record = self.record
        return places.seal(LogPlace(record.topic, record.partition, record.offset, record.generation))


def instant(ms: int) -> str:
    """Writes an instant as 2026-03-01T08:00:00.000Z."""
    return from_ms(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


class SignalAdmission:
    """`accept` a list of prepared signals of one institution, or of retractions; returns an answer for each, in order."""

    topic: Topic = SUBMITTED

    def __init__(self, log: RequestLog, memory: Idempotency, lag: Lag, settings: GatewaySettings, places: PlaceCipher) -> None:
        self.places = places
        self._log = log
        self._memory = memory
        self._lag = lag
        self._lag_limit = settings.lag_limit
        self._in_flight_limit = settings.in_flight_limit
        self._retry_after_s = settings.retry_after_s
        self._in_flight = 0
        self._batches: Counter[str] = Counter()  # by institution: those of `batch`
        self._batches_limit = settings.batches_limit
        self._batches_own_limit = settings.batches_per_institution_limit
        self._shares = Shares()
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count()

    def closed(self, institution: str | None = None) -> Problem | None:
        """Why no signal (of this institution) is accepted now, if so. From half of the limit on, a sender above its share waits,
        to leave room for the others."""
        lag = self._lag.current
        if lag is not None and lag > self._lag_limit:
            detail = "more signals await appraisal than this gateway permits"
            return later("overloaded", detail, self._retry_after_s)
        if institution is not None and lag is not None and lag > self._lag_limit // 2 and self._shares.above(institution):
            detail = "many signals await appraisal, and more than your share of them are yours; retry in a moment"
            return later("overloaded", detail, self._retry_after_s)
        if self._in_flight >= self._in_flight_limit:
            return later("overloaded", "too many signals await acknowledgement by the broker", self._retry_after_s)
        if not self._log.connected:
            return later("log-unavailable", "no connection to the broker; nothing was accepted", self._retry_after_s)
        if self._log.damage is not None:
            return later("log-unavailable", DAMAGED, self._retry_after_s)
        return None

    async def find_record(self, signal_id: str) -> Remembered | None:
        """What is remembered of a signal that was accepted lately."""
        return await self._memory.find(signal_id)

    def full(self, institution: str) -> Problem | None:
        """Why no batch (of this institution) may begin now, if so. An institution at its own limit leaves room for others."""
        own, all_of_them = self._batches[institution], self._batches.total()
        if own >= self._batches_own_limit:
            detail = f"{own} batches of your institution are being read, its limit; nothing of this batch was accepted"
            return later("overloaded", detail, self._retry_after_s)
        if all_of_them >= self._batches_limit:
            detail = f"{all_of_them} batches are being read, the gateway's limit; nothing of this batch was accepted"
            return later("overloaded", detail, self._retry_after_s)
        return None

    @contextlib.contextmanager
    def batch(self, institution: str) -> Iterator[None]:
        """Counts a batch while it is read or its results are unread: it may hold the results of its lines."""
        self._batches[institution] += 1
        try:
            yield
        finally:
            self._batches[institution] -= 1
            if not self._batches[institution]:
                del self._batches[institution]

    async def accept(self, signals: Sequence[Prepared], institution: str) -> list[AdmissionReceipt | Problem]:
        point("gateway.validated")
        answers: list[AdmissionReceipt | Problem | None] = [None] * len(signals)
        first: dict[str, int] = {}
        for index, signal in enumerate(signals):
            first.setdefault(signal.name, index)
        owner = f"{self._process}.{next(self._numbers)}"
        began = time.perf_counter()
        try:
            fresh = await self._lock_names(signals, list(first.values()), owner, answers)
        except StateUnavailable:
            problem = later("state-unavailable", "nothing was accepted; retry with the same reference", self._retry_after_s)
            return [problem] * len(signals)
        METRICS.accept_s.labels("lock").observe(time.perf_counter() - began)
        point("gateway.locked")
        if fresh:
            self._in_flight += len(fresh)
            try:
                await self._append_signals(signals, fresh, institution, owner, answers)
            except BaseException:
                await self._free_locks(_list_locks(signals, fresh), owner)
                raise
            finally:
                self._in_flight -= len(fresh)
        return [
            _as_second(signals[first[signal.name]], signal, answers[first[signal.name]], index == first[signal.name])
            for index, signal in enumerate(signals)
        ]

    async def _lock_names(
        self, signals: Sequence[Prepared], indexes: list[int], owner: str, answers: list[AdmissionReceipt | Problem | None]
    ) -> list[int]:
        """Answers signals that are known already; returns the indexes of the signals that this request locked."""
        names = [signals[i].name for i in indexes]
        aliased = [i for i in indexes if signals[i].alias is not None]
        aliases = [alias[0] for i in aliased if (alias := signals[i].alias)]
        held = await self._memory.begin(names + aliases, owner)
        by_alias = dict(zip(aliased, held[len(names) :], strict=True))
        fresh: list[int] = []
        free: list[str] = []
        for i, stored in zip(indexes, held, strict=False):
            answer = self._answer_from_memory(signals[i], stored, by_alias.get(i))
            if answer is None:
                fresh.append(i)
                continue
            answers[i] = answer
            if stored is None:
                free.append(signals[i].name)
            if (alias := signals[i].alias) is not None and by_alias[i] is None:
                if isinstance(answer, AdmissionReceipt):
                    await self._memory.finish([(alias[0], answer.record._replace(body=alias[1]))])
                else:
                    free.append(alias[0])
        if free:
            await self._free_locks(free, owner)
        return fresh

    def _answer_from_memory(
        self, signal: Prepared, own: Remembered | InFlight | None, alias: Remembered | InFlight | None
    ) -> AdmissionReceipt | Problem | None:
        """The answer of the memory; None if the signal is new."""
        if isinstance(own, InFlight) or isinstance(alias, InFlight):
            return later("request-in-progress", "another request with this reference is still running", 1)
        if own is not None and own.body != signal.body:
            return _refuse_reuse("reference")
        if alias is not None and signal.alias is not None and alias.body != signal.alias[1]:
            return _refuse_reuse("Idempotency-Key")
        if own is not None:
            return AdmissionReceipt(own, True)
        return AdmissionReceipt(alias._replace(body=signal.body), True) if alias is not None else None

    async def _append_signals(
        self,
        signals: Sequence[Prepared],
        fresh: list[int],
        institution: str,
        owner: str,
        answers: list[AdmissionReceipt | Problem | None],
    ) -> None:
        began = time.perf_counter()
        landed = await self._log.append(self.topic, [signals[i].entry for i in fresh])
        acked = time.perf_counter()
        METRICS.accept_s.labels("ack").observe(acked - began)
        point("gateway.appended")
        placed = {
            i: Remembered(signals[i].body, signals[i].signal_id, institution, *place)
            for i, place in zip(fresh, landed, strict=True)
            if isinstance(place, Position)
        }
        METRICS.accepted.inc(len(placed) if self.topic is SUBMITTED else 0)
        self._shares.add(institution, len(placed))
        if placed:
            METRICS.clock_offset_s.set(next(reversed(placed.values())).accepted_ms / 1000 - time.time())
        for i, remembered in zip(placed, await self._remember_records(signals, placed), strict=True):
            answers[i] = AdmissionReceipt(remembered, False) if remembered.body == signals[i].body else _refuse_reuse("reference")
        lost = [i for i in fresh if i not in placed]
        if lost:
            for i in lost:
                answers[i] = unacknowledged("retry with the same reference, nothing counts twice", self._retry_after_s)
            await self._free_locks(_list_locks(signals, lost), owner)
        METRICS.accept_s.labels("remember").observe(time.perf_counter() - acked)
        point("gateway.remembered")

    async def _free_locks(self, names: list[str], owner: str) -> None:
        """Frees locks for the retry. Without Redis they expire by themselves."""
        with contextlib.suppress(StateUnavailable):
            await self._memory.abandon(names, owner)

    async def _remember_records(self, signals: Sequence[Prepared], placed: dict[int, Remembered]) -> list[Remembered]:
        """Stores the records under the names and keys; returns the valid ones. The log has accepted: if the memory fails now,
        assess recognises a retry later."""
        own = [(signals[i].name, record) for i, record in placed.items()]
        aliased = [(alias[0], record._replace(body=alias[1])) for i, record in placed.items() if (alias := signals[i].alias)]
        try:
            return (await self._memory.finish(own + aliased))[: len(own)] if own else []
        except StateUnavailable:
            return list(placed.values())


async def find_own_signal(call: Call, signal_id: str, detail: str = "you sent no such signal") -> Receipt | Remembered:
    """What is known of a signal of the caller: its receipt in the views, or what was remembered when it was accepted, until it
    is assessed. Problem with `detail` when there is none: another's signal does not exist."""
    receipt = await call.services.views.receipt(signal_id)
    signal = receipt or await call.find_service(SignalAdmission).find_record(signal_id)
    if signal is None or signal.institution != call.caller.subject or signal.signal_id != signal_id:
        raise Problem("not-found", detail)
    return signal


def _refuse_reuse(name: str) -> Problem:
    return Problem("reference-reused", f"this {name} was used for another body")


def _as_second(
    first: Prepared, signal: Prepared, answer: AdmissionReceipt | Problem | None, is_first: bool
) -> AdmissionReceipt | Problem:
    """The answer to a repeated name within one chunk."""
    assert answer is not None
    if isinstance(answer, Problem):
        return answer
    if is_first:
        return answer._replace(advisories=signal.advisories) if signal.advisories else answer
    if signal.body != first.body:
        return _refuse_reuse("reference")
    return AdmissionReceipt(answer.record, True, signal.advisories)


def _list_locks(signals: Sequence[Prepared], indexes: Sequence[int]) -> list[str]:
    """The locks of these signals: their names and those of their keys."""
    aliases = [alias[0] for i in indexes if (alias := signals[i].alias)]
    return [signals[i].name for i in indexes] + aliases


class RetractionAdmission(SignalAdmission):
    """The same for retractions, which have a topic of their own."""

    topic = RETRACTIONS
