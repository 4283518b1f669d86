"""Requests between cases whose cause is lost: a change in the lost part of the log had emitted them.

A merge or a split is decided in one partition, and the content it hands over counts in another, by a request whose origin is the
change. If the log has lost the change, its action is decided again if the log still has it. The request then counts for the new
change, and a second emission by `deliver` is a redelivery. If the action is lost, too, nobody decides on it again, and the
content stays where it is. Invariant: of a hand-over between cases, both halves count or none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas.cases.case import Action, ActionKind, ActionOutcome
from schemas.codec import decode
from schemas.common import DAY_MS, instant_ms
from schemas.envelope import Origin
from schemas.notifications.delivery import MOST_FOLLOWS
from schemas.topics import CASE_CHANGES, CASE_COMMANDS
from stream_processors.agents.lost_decisions import read_since
from stream_processors.domain.cases.structure import handed_name, is_sent_on
from stream_processors.runtime.generations import windows
from stream_processors.runtime.log import Log, Record
from stream_processors.state.record_views import ChangeRow

AGAIN_WITHIN_MS = CASE_COMMANDS.retention_days * DAY_MS
"""Longest time after a loss for which requests are repeated: their causes are not kept longer."""
_Name = tuple[str | None, str | None, tuple[str, ...] | None]
"""Of a request: its case, its id, and the cases that it was sent on to; None where only what it did is left."""


class FollowingRequest(NamedTuple):
    """`cause`: partition and position of the change that emitted it; `asked_ms`: the time of the action behind it."""

    action: Action
    cause: tuple[int, int]
    asked_ms: int

    @property
    def name(self) -> _Name:
        return self.action.case_id, self.action.action_id, self.action.visited_case_ids

    @property
    def begun_ms(self) -> int:
        """A request that is repeated because of a signal is later than its first copy."""
        about = self.action.signal or self.action.retracted_contribution
        return min(self.asked_ms, instant_ms(about.accepted_at)) if about and about.accepted_at else self.asked_ms


def read_request(record: Record) -> FollowingRequest | None:
    """None for an action without a change as its cause, and for an unreadable one."""
    if CASE_CHANGES.name.encode() not in (record.value or b""):
        return None
    try:
        envelope = decode(CASE_COMMANDS, record.value)
        origin = Origin.parse(envelope.origin or "")
    except ValueError:
        return None
    request = FollowingRequest(envelope.data, (origin.partition, origin.offset), instant_ms(envelope.time))
    return request if origin.topic == CASE_CHANGES.name else None


class LostCauses:
    """Decides which requests count. `forget` when partitions are taken over: the read records may have changed."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.forget()

    def forget(self) -> None:
        self._first: dict[_Name, int] | None = None
        self._came: dict[tuple[int, int], list[Record]] = {}

    async def find_needless(self, records: Iterable[Record]) -> set[tuple[int, int]]:
        """Partitions and positions of requests that count nothing: the cause is lost for good, or an earlier copy of the request
        counts for a cause that was lost and is decided again."""
        until_ms = max((window.until_ms for window in windows(self._log.generations, [CASE_CHANGES.name])), default=0)
        needless = set()
        for record in records if until_ms else ():
            if (request := read_request(record)) is None:
                continue
            is_void = self._is_lost(request.cause) and not await self._stands(request)
            may_be_again = max(request.begun_ms, record.timestamp_ms - AGAIN_WITHIN_MS) <= until_ms
            if is_void or (may_be_again and await self._stood_before(request, record.offset)):
                needless.add((record.partition, record.offset))
        return needless

    def _is_lost(self, change: tuple[int, int]) -> bool:
        return self._log.generations.is_lost(CASE_CHANGES.name, *change)

    async def _stands(self, request: FollowingRequest) -> bool:
        """Whether the log has the action of the lost change, and it counts itself."""
        for record in await self._taken_in(request.cause[0], request.asked_ms):
            try:
                is_cause = _asks_for(decode(CASE_COMMANDS, record.value).data, request.action)
            except ValueError:
                continue
            behind = read_request(record)
            if is_cause and (behind is None or not self._is_lost(behind.cause) or await self._stands(behind)):
                return True
        return False

    async def _taken_in(self, partition: int, at_ms: int) -> list[Record]:
        """The actions with this LogAppendTime. Cached only once all are read: a read that fails is made again, whole."""
        if (partition, at_ms) not in self._came:
            begin, end = (
                (await self._log.since(CASE_COMMANDS, at_ms))[partition],
                (await self._log.ends(CASE_COMMANDS))[partition],
            )
            came: list[Record] = []
            async for records in self._log.read(CASE_COMMANDS, partition, begin, end):
                came += [record for record in records if record.timestamp_ms == at_ms]
                if records[-1].timestamp_ms > at_ms:
                    break
            self._came[partition, at_ms] = came
        return self._came[partition, at_ms]

    async def _stood_before(self, request: FollowingRequest, position: int) -> bool:
        """Whether an earlier copy of the request, or its effect, is in the log."""
        if self._first is None:
            self._first = await self._read_first()
        names = (request.name, (*request.name[:2], None))
        return any(self._first.get(name, position) < position for name in names)

    async def _read_first(self) -> dict[_Name, int]:
        """The first positions of the requests that count although their cause is lost."""
        first: dict[_Name, int] = {}
        lost = windows(self._log.generations, [CASE_CHANGES.name])
        span = min(window.since_ms for window in lost), max(window.until_ms for window in lost)
        async for record in read_since(self._log, CASE_COMMANDS, *span):
            request = read_request(record)
            if request is not None and self._is_lost(request.cause) and await self._stands(request):
                first.setdefault(request.name, record.offset)
        async for record in read_since(self._log, CASE_CHANGES, *span):
            if b'"origin":"c' in (record.value or b"") and (done := self._done_by(record)) is not None:
                first.setdefault(*done)
        return first

    def _done_by(self, record: Record) -> tuple[_Name, int] | None:
        """The request of a lost cause that a change applied, and its position."""
        try:
            envelope = decode(CASE_CHANGES, record.value, ChangeRow)
            position, change = Origin.parse(envelope.origin or "").offset, envelope.data
            partition, _, number = str(change.origin).removeprefix("c").partition(":")
            is_lost = self._is_lost((int(partition), (int(number) - 1) // MOST_FOLLOWS))
        except ValueError:
            return None
        is_done = is_lost and change.outcome is ActionOutcome.APPLIED
        return ((change.case_id, change.action_id, None), position) if is_done else None


def _asks_for(cause: Action, asked: Action) -> bool:
    """Whether a change about an action emits another one."""
    if cause.kind in (ActionKind.MERGE, ActionKind.SPLIT):
        return asked.action_id == handed_name(cause.action_id, cause.case_id)
    return cause.action_id == asked.action_id and is_sent_on(cause, asked)
