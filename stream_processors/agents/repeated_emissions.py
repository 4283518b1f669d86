"""Finds the emissions of assess that the log may have lost: joins and retractions that were appended and are gone.

A fact records up to which fact the emissions were appended, as of its time. A broker that came back since may have lost the
newest ones; if the log is known to be damaged, all later ones may be gone. Invariant: a repeated emission keeps its origin, so
that one that was not lost is a redelivery; and it is repeated before anything newer.
"""

from __future__ import annotations

from schemas.codec import CodecError, decode
from schemas.topics import ASSESSED, CASE_COMMANDS, RETRACTIONS
from stream_processors.runtime.generations import UNSYNCED_MS, Window, windows
from stream_processors.runtime.log import Log
from stream_processors.state.record_views import AssessedRow

REQUESTS = (CASE_COMMANDS, RETRACTIONS)


async def emitted_before_loss(log: Log, partition: int, *, is_led_anew: bool) -> int | None:
    """The first fact whose emissions must be repeated; None if nothing was lost, or if they were repeated since. Facts recorded
    after the recovery of the newest loss show it: whoever recorded them had repeated the emissions before. `is_led_anew`: a
    broker came back since the last check."""
    starts, ends = (await log.starts(ASSESSED))[partition], (await log.ends(ASSESSED))[partition]
    newest_ms = await _timestamp_before(log, partition, ends) if starts < ends else None
    if newest_ms is None:
        return None
    lost = [window for window in windows(log.generations, [topic.name for topic in REQUESTS]) if newest_ms <= window.until_ms]
    if is_led_anew:
        lost.append(Window(newest_ms - UNSYNCED_MS, newest_ms))
    if not lost:
        return None
    begin = (await log.since(ASSESSED, min(window.since_ms for window in lost)))[partition]
    return await _emitted_before(log, partition, begin)


async def _timestamp_before(log: Log, partition: int, end: int) -> int | None:
    async for records in log.read(ASSESSED, partition, _find_previous(log, partition, end), end):
        return records[-1].timestamp_ms
    return None


async def _emitted_before(log: Log, partition: int, end: int) -> int:
    """The value of the last readable fact before `end`."""
    position, start = end, (await log.starts(ASSESSED))[partition]
    while position > start:
        begin = _find_previous(log, partition, position)
        async for records in log.read(ASSESSED, partition, begin, position):
            try:
                return int(decode(ASSESSED, records[-1].value, AssessedRow).data.emitted)
            except CodecError:
                continue
        position = begin
    return 0


def _find_previous(log: Log, partition: int, position: int) -> int:
    """The position of the previous record."""
    generations = log.generations
    return generations.position(ASSESSED.name, partition, max(0, generations.offset(ASSESSED.name, partition, position) - 1))
