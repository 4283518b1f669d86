"""What assess must ask for once more because the log may have lost it: joins and retractions that were appended and are gone.

A fact says up to where the facts before it were asked for. It said the truth then. A broker that came back since may have lost
the newest of what was appended; where the log is known to be damaged, all that was appended since may be gone. Invariant: what is
asked for again has the origin that it had, so that what was not lost is an echo; and it is asked for before anything newer.
"""

from __future__ import annotations

from schemas.codec import CodecError, decode
from schemas.topics import ASSESSED, CASE_COMMANDS, RETRACTIONS
from stream_processors.runtime.generations import UNSYNCED_MS, Window, windows
from stream_processors.runtime.log import Log
from stream_processors.state.record_views import AssessedRow

REQUESTS = (CASE_COMMANDS, RETRACTIONS)


async def emitted_before_loss(log: Log, partition: int, *, is_led_anew: bool) -> int | None:
    """From which fact on must be asked again; None when nothing was lost, or when it was asked for since. Facts that were
    recorded after the newest loss was recovered say so: whoever recorded them had asked again before. `is_led_anew`: a broker
    came back since the last look."""
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
    async for records in log.read(ASSESSED, partition, _previous(log, partition, end), end):
        return records[-1].timestamp_ms
    return None


async def _emitted_before(log: Log, partition: int, end: int) -> int:
    """What the last readable fact before `end` says."""
    position, start = end, (await log.starts(ASSESSED))[partition]
    while position > start:
        begin = _previous(log, partition, position)
        async for records in log.read(ASSESSED, partition, begin, position):
            try:
                return int(decode(ASSESSED, records[-1].value, AssessedRow).data.emitted)
            except CodecError:
                continue
        position = begin
    return 0


def _previous(log: Log, partition: int, position: int) -> int:
    """The position of the record before."""
    generations = log.generations
    return generations.position(ASSESSED.name, partition, max(0, generations.offset(ASSESSED.name, partition, position) - 1))
