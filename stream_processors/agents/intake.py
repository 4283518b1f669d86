"""intake: gives records of an institution's own Kafka client the same validation, tokens and sealing as REST, and a receipt.

One agent for each institution. A step: read, append the signals, record the receipts, project, complete. The receipts are the
stage's facts: one for each raw record, in the partition of the same number. After a kill between signals and receipts, the
signals are appended again; their ids follow from institution and reference, so assess recognises the duplicates. Invariant: every
raw record ends in a receipt, and the next one is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.codec import encode
from schemas.common import from_ms
from schemas.envelope import Origin
from schemas.parsing import Refused
from schemas.security import LogPlace, PlaceCipher, Tokenizer
from schemas.security.signal_reader import SignalReader, Submission
from schemas.signals.receipts import RawReceipt
from schemas.topics import SUBMITTED
from stream_processors.agents.base import Agent, AgentPorts, Batch
from stream_processors.domain.signals import intake as decision
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import Record
from stream_processors.runtime.metrics import METRICS, Steps
from stream_processors.state.keys import BUCKETS
from stream_processors.state.store import Write
from stream_processors.topology import intake_stage

SLICE_RECORDS, SLICE_BYTES = 1000, 4 << 20
"""A poll is processed in slices, so a flood costs bounded memory and a killed worker repeats a bounded part."""


@dataclass(slots=True)
class _Work:
    """One raw record: its result, or the reason of its refusal."""

    record: Record
    now: datetime
    reference: str = ""
    submission: Submission | None = None
    refusal: Refused | None = None


class Intake(Agent):
    gapless = False  # a sender's transactions leave gaps, and aborted records are no signals

    def __init__(
        self,
        institution: str,
        ports: AgentPorts,
        tokenizer: Tokenizer,
        places: PlaceCipher,
        *,
        body_limit_bytes: int,
        json_depth_limit: int,
    ) -> None:
        self.stage = intake_stage(institution)
        super().__init__(ports)
        self._institution = institution
        self._receipt_places = places
        self._raw, self._receipts = self.stage.reads[0], self.stage.writes[0]
        self._reader = SignalReader(tokenizer, ports.sealer, json_depth_limit, "/intake")
        self._limit_bytes = body_limit_bytes

    async def _process_poll(self, batch: Batch) -> None:
        for part in slices(batch):
            await self._process_slice(part)

    async def _process_slice(self, batch: Mapping[int, Sequence[Record]]) -> None:
        point("intake.polled")
        steps = Steps("intake")
        works = [self._read_record(record) for records in batch.values() for record in records]
        steps.done("read")
        point("intake.decided")
        await self._dead.flush()
        point("intake.buried")
        places = await self._submit_signals(works)
        steps.done("submit")
        point("intake.submitted")
        await self._record_receipts(works, places)
        steps.done("record")
        point("intake.recorded")
        await self._fold_receipts(batch)
        steps.done("fold")
        point("intake.folded")

    def _read_record(self, record: Record) -> _Work:
        now = from_ms(record.timestamp_ms)
        try:
            body = self._reader.body(decision.whole(record.value, self._limit_bytes))
            reference = decision.reference_of(body.reference)
            submission = self._reader.submission(
                body,
                institution=self._institution,
                reference=reference,
                now=now,
                origin=self._name_origin(record),
                listed=self.policy.placeholders,
                hubs=self.policy.hubs,
            )
            return _Work(record, now, reference, submission)
        except Refused as refusal:
            self._dead.add(self._raw, record, str(refusal))
            METRICS.dead.labels("intake").inc()
            return _Work(record, now, refusal=refusal)

    def _name_origin(self, record: Record) -> Origin:
        return Origin(self._raw.name, record.partition, record.offset)

    async def _submit_signals(self, works: list[_Work]) -> Iterator[str]:
        """Appends the signals, like a gateway; their receipts are in the same order."""
        entries = [(work.submission.key, work.submission.value) for work in works if work.submission]
        landed = await self.log.append_keyed(SUBMITTED, entries) if entries else []
        return (self._receipt_places.seal(LogPlace(SUBMITTED.name, p, offset)) for p, offset in landed)

    async def _record_receipts(self, works: list[_Work], places: Iterator[str]) -> None:
        appended: list[tuple[Record, bytes | None, bytes]] = []
        written = datetime.now(UTC)
        outcomes: Counter[str] = Counter()
        for work in works:
            receipt = _make_receipt(work, places)
            key = work.reference.encode() or None  # never the raw record's own key: it may name a person
            appended.append((work.record, key, self._encode_receipt(work, receipt, written)))
            outcomes[receipt.outcome.value] += 1
        for outcome, n in outcomes.items():
            METRICS.facts.labels("intake", outcome).inc(n)
        await self.append_facts(self._receipts, appended)

    def _encode_receipt(self, work: _Work, receipt: RawReceipt, written: datetime) -> bytes:
        record = work.record
        return encode(
            self._receipts,
            receipt,
            id=f"receipt-{self._institution}-{record.partition}:{record.offset}",
            source="/intake",
            actor="stage:intake",
            time=written,
            origin=self._name_origin(record),
            subject=receipt.signal_id,
        )

    async def _fold_receipts(self, batch: Mapping[int, Sequence[Record]]) -> None:
        sets = self.marks_behind(record for records in batch.values() for record in records)
        checks = self.checks_before(sets)
        await self.store.call("fold", self._stamp, {b: Write(checks, sets) for b in range(BUCKETS)})
        self.marks |= sets


def _make_receipt(work: _Work, places: Iterator[str]) -> RawReceipt:
    if work.refusal is not None:
        return decision.refused(refusal=work.refusal, now=work.now)
    assert work.submission is not None
    return decision.accepted(
        signal_id=work.submission.signal_id,
        reference=work.reference,
        receipt=next(places),
        now=work.now,
        advisories=work.submission.advisories,
    )


def slices(batch: Batch) -> Iterator[dict[int, list[Record]]]:
    """Slices of a poll of one topic, by partition and in order, with a bounded number of records and bytes."""
    part: dict[int, list[Record]] = {}
    records_in, bytes_in = 0, 0
    for records in batch.values():
        for record in records:
            size = len(record.value or b"") + len(record.key or b"")
            if part and (records_in == SLICE_RECORDS or bytes_in + size > SLICE_BYTES):
                yield part
                part, records_in, bytes_in = {}, 0, 0
            part.setdefault(record.partition, []).append(record)
            records_in, bytes_in = records_in + 1, bytes_in + size
    if part:
        yield part
