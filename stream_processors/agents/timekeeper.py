"""timekeeper: requests due moments through the log. Projects the cases' changes into an index of moments, and requests those that
are due.

Two parts under one lock. A poll's step only projects. A tick reads the due moments of the own partitions and appends a request
for each; it does not change the index, because only the case's change removes a moment. Invariant: a due moment is requested
until track has decided it, by the broker's time and not by our own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from schemas.codec import encode
from schemas.common import from_ms
from schemas.topics import CASE_CHANGES, CASE_COMMANDS
from stream_processors.agents.base import AgentPorts, Batch
from stream_processors.agents.projecting import Folding
from stream_processors.domain.deadlines.broker_time import BrokerTime
from stream_processors.domain.deadlines.due_index import ACTOR, Member, action_id, request
from stream_processors.domain.deadlines.in_flight import RequestsInFlight
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import Entry
from stream_processors.runtime.metrics import METRICS, Steps
from stream_processors.state.deadline_index import MOST_MS, Indexed, Sweep, buckets_of, indexed, partition_of_bucket
from stream_processors.state.marks import MarkStream, fact_mark, source_mark
from stream_processors.state.store import Write
from stream_processors.topology import STAGES

CASES_A_TICK = 250
"""Due moments read per bucket and tick. The limit keeps a tick short, however many fall due at once."""
AT_ONCE = 500
"""Requests per partition and tick. They fit into one batch, because other writers append between two batches."""

DueRequest = tuple[Member, int]
"""The moment to request, and its due time in milliseconds."""


class Timekeeper(Folding):
    stage = STAGES["timekeeper"]
    tick_every_s = 0.2

    def __init__(self, ports: AgentPorts) -> None:
        super().__init__(ports)
        self._time = BrokerTime()
        self._waiting: dict[int, RequestsInFlight] = {}
        self._sweeps: dict[int, Sweep] = {}

    @staticmethod
    def monotonic_ms() -> int:
        return int(time.monotonic() * 1000)

    async def _take_over(self, partitions: Sequence[int]) -> None:
        ends, now_s = await self.log.ends(CASE_COMMANDS), self.monotonic_ms() / 1000
        self._waiting = {p: RequestsInFlight(ends[p], now_s) for p in partitions}
        self._sweeps = {bucket: Sweep() for p in partitions for bucket in buckets_of(p)}

    async def _process_poll(self, batch: Batch) -> None:
        point("timekeeper.polled")
        steps = Steps("timekeeper")
        chunks = await self._read_chunks(batch)
        steps.done("read")
        point("timekeeper.buried")
        await self._fold_chunks(batch, chunks)
        steps.done("fold")
        self._time.seen(max(records[-1].timestamp_ms for records in batch.values()), self.monotonic_ms())
        point("timekeeper.folded")

    async def tick(self) -> None:
        async with self._busy:
            owned = [p for p in self._waiting if (CASE_CHANGES.name, p) in self._owned]
            if owned:
                began = time.perf_counter()
                await self._request_due(owned)
                METRICS.tick_s.observe(time.perf_counter() - began)

    async def _request_due(self, owned: Sequence[int]) -> None:
        mono_ms = self.monotonic_ms()
        for p in owned:
            decided = self.log.generations.next_position(
                CASE_COMMANDS.name, p, self.marks.get(source_mark(p, MarkStream.CASES), 0)
            )
            self._waiting[p].answered(decided, mono_ms / 1000)
        if not self._time.known(mono_ms):
            await self._ask_the_time(owned)
        now_ms = self._time.now_ms(self.monotonic_ms())
        if now_ms is None:
            return
        ripe = await self._find_ripe(owned, now_ms)
        point("timekeeper.found")
        await self._append_requests({p: self._choose_requests(p, cases, now_ms) for p, cases in ripe.items()})
        self._measure_index(owned, now_ms)

    async def _ask_the_time(self, owned: Sequence[int]) -> None:
        """Asks for the time by a request for the next moment, due or not: the broker stamps it, and the case refuses an early
        one."""
        first = await self._read_ripe(dict.fromkeys(_list_buckets(owned), (b"", MOST_MS, 1)))
        cases = [(ripe[0].member, ripe[0], bucket) for bucket, (_, ripe) in first.items() if ripe]
        if cases:
            _, case, bucket = min(cases)
            await self._append_requests({partition_of_bucket(bucket): [next(_list_due(case, MOST_MS))]})

    async def _find_ripe(self, owned: Sequence[int], now_ms: int) -> dict[int, list[Indexed]]:
        """The cases with due moments, by partition: from the end of the last tick, or from the beginning after the end."""
        most = {b: min(CASES_A_TICK, self._waiting[p].room) for p in owned for b in buckets_of(p)}
        places = {b: (self._sweeps[b].behind if n else b"", now_ms, max(1, n)) for b, n in most.items()}
        ripe: dict[int, list[Indexed]] = {p: [] for p in owned}
        for bucket, (count, cases) in (await self._read_ripe(places)).items():
            self._sweeps[bucket].went(count, cases, most[bucket])
            ripe[partition_of_bucket(bucket)] += cases
        return ripe

    async def _read_ripe(self, places: Mapping[int, tuple[bytes, int, int]]) -> dict[int, tuple[int, list[Indexed]]]:
        """By bucket: start, time limit, count limit -> number of moments, and the cases."""
        marks = {bucket: fact_mark(partition_of_bucket(bucket), MarkStream.CASES) for bucket in places}
        looks = {bucket: Write({marks[bucket]: self.tolerated(marks[bucket])}, {}, args) for bucket, args in places.items()}
        answers = await self.store.call("ripe", self._stamp, looks)
        return {bucket: (count, list(map(indexed, rows[::2], rows[1::2]))) for bucket, (count, *rows) in answers.items()}

    def _choose_requests(self, partition: int, cases: Iterable[Indexed], now_ms: int) -> list[DueRequest]:
        """The moments to request, the earliest first; an in-flight one if nothing is answered."""
        waiting = self._waiting[partition]
        due = sorted((due_request for case in cases for due_request in _list_due(case, now_ms)), key=itemgetter(1))
        chosen = [due_request for due_request in due if waiting.free(due_request[0])][: min(AT_ONCE, waiting.room)]
        if due and not chosen and waiting.stuck(now_s := self.monotonic_ms() / 1000):
            waiting.nudged(now_s)
            return due[:1]
        return chosen

    async def _append_requests(self, requests: Mapping[int, Sequence[DueRequest]]) -> None:
        entries = {p: [_build_entry(*due_request) for due_request in own] for p, own in requests.items() if own}
        if not entries:
            return
        bases = await self.log.append(CASE_COMMANDS, entries)
        point("timekeeper.asked")
        mono_ms, stamped_ms = self.monotonic_ms(), self.log.stamped_ms
        assert stamped_ms is not None
        self._time.acknowledged(stamped_ms, mono_ms)
        for p, base in bases.items():
            self._waiting[p].asked([member for member, _ in requests[p]], base, mono_ms / 1000)
        METRICS.due_requests.inc(sum(map(len, entries.values())))

    def _measure_index(self, owned: Sequence[int], now_ms: int) -> None:
        sweeps = [self._sweeps[bucket] for bucket in _list_buckets(owned)]
        METRICS.open_clocks.set(sum(sweep.open for sweep in sweeps))
        METRICS.due_cases.set(sum(sweep.due for sweep in sweeps))
        METRICS.oldest_due_s.set(
            max((now_ms - sweep.oldest_ms for sweep in sweeps if sweep.oldest_ms is not None), default=0) / 1000
        )


def _list_buckets(partitions: Iterable[int]) -> list[int]:
    return [bucket for p in partitions for bucket in buckets_of(p)]


def _list_due(case: Indexed, now_ms: int) -> Iterator[DueRequest]:
    for at_ms, clock, run, step in case.moments:
        if at_ms <= now_ms:
            yield Member(case.case_id, clock, run, step), at_ms


def _build_entry(member: Member, at_ms: int) -> Entry:
    """Its time is that of the moment, so that the same request has the same bytes."""
    value = encode(
        CASE_COMMANDS,
        request(member),
        id=action_id(member),
        source="/timekeeper",
        actor=ACTOR,
        time=from_ms(at_ms),
        subject=member.case_id,
    )
    return member.case_id.encode(), value
