"""deliver: turns changes of cases into records: each notice for its recipient, each request for its case.

One poll's step: read, append the notices, append the requests, and only then move the position. After a kill in between they are
appended again with the same origins, as redeliveries, which projections and `track` drop. The state is the position alone; if
Redis lost it, the log has it: every notice carries the progress before its poll. Invariant: the position never passes an
unwritten record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from schemas.codec import CodecError, decode, encode
from schemas.common import DAY_MS, instant_ms
from schemas.envelope import Origin
from schemas.notifications.delivery import Settled
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS
from stream_processors.agents.base import Agent, Batch
from stream_processors.domain.notifications import delivery as decision
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.damage import read_tails
from stream_processors.runtime.generations import UNSYNCED_MS, Window, windows
from stream_processors.runtime.log import Place, Record
from stream_processors.runtime.metrics import METRICS, Steps
from stream_processors.state.fold_run import Chunk, read_chunk
from stream_processors.state.keys import BUCKETS
from stream_processors.state.marks import Mark, MarkKind, Marks, MarkStream, source_mark
from stream_processors.state.record_views import AskingRow, PlaceRow
from stream_processors.state.store import Write
from stream_processors.state.streams import FactStream, fold_nothing
from stream_processors.topology import DELIVER_WRITES, STAGES

ACTOR = "stage:deliver"
_LOOK_BACK_MS = (3_600_000, DAY_MS, 30 * DAY_MS)
Keyed = tuple[bytes, bytes]
_Written = tuple[MarkKind, int]
"""A kind of DELIVER_WRITES and a partition of its topic."""


_CHANGES = FactStream(CASE_CHANGES, {CASE_COMMANDS.name: MarkStream.OWN}, MarkStream.OWN, fold_nothing, AskingRow)


class Deliver(Agent):
    """The watermarks of a partition of the changes: the next of them (SETTLED), the next action that one concerns (HANDED_ON),
    and the end of the notices and requests that it wrote to each partition (NOTICES, REQUESTS). So the loss of a tail that nobody
    has read is detected."""

    stage = STAGES["deliver"]

    async def _process_poll(self, batch: Batch) -> None:
        point("deliver.polled")
        steps = Steps("deliver")
        chunks = [self._read_changes(p, records) for (_, p), records in batch.items()]
        notices, follows = self._decide_records(chunks, batch)
        steps.done("read")
        point("deliver.decided")
        await self._dead.flush()
        point("deliver.buried")
        ends: dict[_Written, int] = {}
        if notices:
            ends |= _list_ends(MarkKind.NOTICES, await self.log.append_keyed(NOTIFICATIONS, notices))
            point("deliver.issued")
        steps.done("issue")
        if follows:
            ends |= _list_ends(MarkKind.REQUESTS, await self.log.append_keyed(CASE_COMMANDS, follows))
        point("deliver.followed")
        steps.done("follow")
        await self._settle_places(chunks, ends)
        steps.done("settle")
        point("deliver.folded")

    def _read_changes(self, p: int, records: Sequence[Record]) -> Chunk:
        """The changes that count; unreadable ones go to the dead letters."""
        before = {source_mark(p): self.marks.get(_handed_on(p), 0)}
        chunk = read_chunk(_CHANGES, p, records, before, effects=False)
        by_offset = {record.offset: record for record in records} if chunk.unreadable else {}
        for record, why in chunk.unreadable:
            self._bury_record(by_offset[record.offset], why)
        return chunk

    def _bury_record(self, record: Record, why: str) -> None:
        self._dead.add(CASE_CHANGES, record, why)
        METRICS.dead.labels("deliver").inc()

    def _decide_records(self, chunks: Sequence[Chunk], batch: Batch) -> tuple[list[Keyed], list[Keyed]]:
        """The records of notices and of requests. A change with an unreadable one is set aside whole."""
        notices: list[Keyed] = []
        follows: list[Keyed] = []
        counted: Counter[str] = Counter()
        for chunk in chunks:
            p = chunk.partition
            settled = Settled.trusted(
                change_offset=self.marks.get(_settled(p), 0), action_offset=self.marks.get(_handed_on(p), 0)
            )
            for offset, envelope, _ in chunk.counted:
                if not envelope.data.asks:
                    continue
                try:
                    issued, requested = _build_records(envelope.data, Origin(CASE_CHANGES.name, p, offset), settled, counted)
                except ValueError as error:
                    record = next(polled for polled in batch[CASE_CHANGES.name, p] if polled.offset == offset)
                    self._bury_record(record, str(CodecError(_first_line(error))))
                    continue
                notices += issued
                follows += requested
        for outcome, n in counted.items():
            METRICS.facts.labels("deliver", outcome).inc(n)
        return notices, follows

    async def _settle_places(self, chunks: Sequence[Chunk], ends: Mapping[_Written, int]) -> None:
        """`ends`: by topic and partition, the position after the newest record that this poll wrote there."""
        sets: Marks = {}
        for chunk in chunks:
            p = chunk.partition
            sets |= {_settled(p): chunk.end, _handed_on(p): chunk.marks.get(source_mark(p), self.marks.get(_handed_on(p), 0))}
        checks = {mark: self.marks.get(mark, 0) for mark in sets}  # nobody but its owner moves a place
        sets |= {Mark(kind, chunk.partition, source=q): end for chunk in chunks for (kind, q), end in ends.items()}
        await self.store.call("fold", self._stamp, {b: Write(checks, sets) for b in range(BUCKETS)})
        self.marks |= sets

    def _list_places(self) -> dict[tuple[str, int], int]:
        written: dict[tuple[str, int], int] = {}
        for mark, end in self.marks.items():
            if mark.kind in DELIVER_WRITES and mark.source is not None:
                at = DELIVER_WRITES[mark.kind].name, mark.source
                written[at] = max(end, written.get(at, 0))
        return super()._list_places() | written

    async def _take_over(self, partitions: Sequence[int]) -> None:
        """The lowest position of all buckets counts, and all get it. A bucket without one has lost it, and the log has it."""
        buckets = await self.store.marks()
        lost = {p for p in partitions if any(_settled(p) not in marks for marks in buckets)}
        places = await self._find_places(lost) if lost else {}
        sets: Marks = {}
        for p in partitions:
            sets |= places.get(p, {_settled(p): 0, _handed_on(p): 0}) if p in lost else _find_lowest(buckets, p)
            sets |= _highest_written(buckets, p)
        point("deliver.found")
        await self.store.call("fold", self._stamp, {b: Write({}, sets) for b in range(BUCKETS)})
        self.marks |= sets

    async def _find_places(self, lost: set[int]) -> dict[int, Marks]:
        """The newest position of each partition that a notice carries. The newest notices are read first, and older ones only for
        partitions that these do not mention. Every carried position is valid; an older one only repeats more work. Positions
        written while others were lost are not valid, and their notices are written again."""
        places: dict[int, Marks] = {}
        read, now_ms = 0, instant_ms(datetime.now(UTC))
        starts, ends = await self.log.starts(NOTIFICATIONS), await self.log.ends(NOTIFICATIONS)
        untrue = windows(self.log.generations, (NOTIFICATIONS.name, CASE_COMMANDS.name))
        if newest := await read_tails(self.log, NOTIFICATIONS, 1):  # Redis may be lost with what the broker had not on its disk
            newest_ms = max(record.timestamp_ms for record in newest)
            untrue.append(Window(newest_ms - UNSYNCED_MS, newest_ms))
        for back_ms in (*_LOOK_BACK_MS, None):
            begins = starts if back_ms is None else await self.log.since(NOTIFICATIONS, now_ms - back_ms)
            for at, end in ends.items():
                async for records in self.log.read(NOTIFICATIONS, at, begins[at], end):
                    read += len(records)
                    for record in records:
                        if not any(window.has(record.timestamp_ms) for window in untrue):
                            _keep_newest(places, record)
            ends = {at: min(begins[at], end) for at, end in ends.items()}
            if lost <= places.keys():
                break
        self._tell(f"deliver: lost its position, and read {read} notices to find it")
        return places


def _settled(partition: int) -> Mark:
    return Mark(MarkKind.SETTLED, partition)


def _handed_on(partition: int) -> Mark:
    return Mark(MarkKind.HANDED_ON, partition)


def _list_ends(kind: MarkKind, places: Sequence[Place]) -> dict[_Written, int]:
    ends: dict[_Written, int] = {}
    for partition, position in places:
        ends[kind, partition] = max(position + 1, ends.get((kind, partition), 0))
    return ends


def _find_lowest(buckets: Sequence[Marks], p: int) -> Marks:
    return {mark: min(marks.get(mark, 0) for marks in buckets) for mark in (_settled(p), _handed_on(p))}


def _highest_written(buckets: Sequence[Marks], p: int) -> Marks:
    """Any bucket's value counts: it proves that the record was written."""
    highest: Marks = {}
    for marks in buckets:
        for mark, end in marks.items():
            if mark.kind in DELIVER_WRITES and mark.partition == p:
                highest[mark] = max(end, highest.get(mark, 0))
    return highest


def _keep_newest(places: dict[int, Marks], record: Record) -> None:
    try:
        envelope = decode(NOTIFICATIONS, record.value, PlaceRow)
        origin, settled = Origin.parse(envelope.origin or ""), envelope.data.progress
    except ValueError:  # whoever wrote that, it says nothing of a place
        return
    if settled is not None and origin.topic == CASE_CHANGES.name:
        place = places.setdefault(origin.partition, {})
        if settled.change_offset >= place.get(_settled(origin.partition), 0):
            place |= {_settled(origin.partition): settled.change_offset, _handed_on(origin.partition): settled.action_offset}


def _build_records(row: AskingRow, origin: Origin, settled: Settled, counted: Counter[str]) -> tuple[list[Keyed], list[Keyed]]:
    notices, follows = decision.notices_of(bytes(row.notifications)), decision.follows_of(bytes(row.follow_ups))
    about = decision.About()
    if bytes(row.case) != b"null" and any(notice.order_id or notice.dissuasion_id for notice in notices):
        about = decision.About.model_validate_json(bytes(row.case))
    issued = [*_build_notices(decision.issued(notices, about, settled), origin, row)]
    requested = [*_build_requests(follows, origin, row)]
    counted.update(notice.kind.value for notice in notices)
    counted["follow"] += len(follows)
    return issued, requested


def _build_notices(issued: Sequence[Any], origin: Origin, row: AskingRow) -> Iterator[Keyed]:
    for n, issued_notice in enumerate(issued):
        recipient, source = issued_notice.notification.recipient, origin._replace(n=n)
        name = f"issued-{origin.partition}:{origin.offset}/{n}"
        yield (
            recipient.encode(),
            encode(
                NOTIFICATIONS,
                issued_notice,
                id=name,
                source="/deliver",
                actor=ACTOR,
                time=row.at,
                origin=source,
                subject=recipient,
            ),
        )


def _build_requests(follows: Sequence[Any], origin: Origin, row: AskingRow) -> Iterator[Keyed]:
    for n, action in enumerate(follows):
        source = origin._replace(n=n)
        yield (
            action.case_id.encode(),
            encode(
                CASE_COMMANDS,
                action,
                id=action.action_id,
                source="/deliver",
                actor=ACTOR,
                time=row.at,
                origin=source,
                subject=action.case_id,
            ),
        )


def _first_line(error: Exception) -> str:
    """The fault without the values that a validation repeats."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
