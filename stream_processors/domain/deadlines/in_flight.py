"""What the timekeeper asked for in one partition and has no answer to yet. Pure.

A request stands in the log, so track will come to it: asking again before that would only make its work more, most when it is
behind already. What is answered and still stands in the index was refused, for it came too early, and is asked for again.
Invariant: a moment has one request under way at a time, and none for ever: one that the log lost is noticed and made again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from stream_processors.domain.deadlines.due_index import Member

AGAIN_AFTER_S = 1.0
"""Time between two requests for a moment whose first request was refused."""
NUDGE_AFTER_S = 5.0
"""Time without any answer after which one request is repeated. Its position in the log shows what the log lost (a broker that
came back without its newest records)."""
FEW = 500
"""Unanswered actions of a partition up to which a new owner sends requests."""
MOST_WAITING = 10_000
"""Requests in flight per partition. More would only queue behind them."""


class RequestsInFlight:
    """`since`: the end of the partition's actions when its owner came. What stands before it may hold requests of the owner
    before: while that is much, nothing is asked for, and a request would stand behind it anyhow. A few are rather made twice
    than late."""

    def __init__(self, since: int, now_s: float) -> None:
        self._since, self._answered, self._moved_s = since, 0, now_s
        self._line: deque[tuple[int, float, Member]] = deque()
        self._under_way: set[Member] = set()

    def answered(self, upto: int, now_s: float) -> None:
        """The actions before this offset have their facts in the index."""
        if upto != self._answered:
            self._answered, self._moved_s = upto, now_s
        while self._line and self._line[0][0] < upto and self._line[0][1] + AGAIN_AFTER_S <= now_s:
            self._under_way.discard(self._line.popleft()[2])

    @property
    def room(self) -> int:
        """How many more may be asked for."""
        return 0 if self._is_behind else max(0, MOST_WAITING - len(self._line))

    @property
    def _is_behind(self) -> bool:
        return self._since - self._answered > FEW

    def free(self, member: Member) -> bool:
        return member not in self._under_way

    def asked(self, members: Sequence[Member], base: int, now_s: float) -> None:
        """Their requests landed one behind the other from the offset `base` on: what stood there before, the log lost."""
        if not self._has_waiting:
            self._moved_s = now_s
        while self._line and self._line[-1][0] >= base:
            self._under_way.discard(self._line.pop()[2])
        self._line.extend((base + n, now_s, member) for n, member in enumerate(members))
        self._under_way.update(members)

    @property
    def _has_waiting(self) -> bool:
        """Whether something has no answer."""
        return self._is_behind or (bool(self._line) and self._line[-1][0] >= self._answered)

    def stuck(self, now_s: float) -> bool:
        """Whether a request has to be made once more to see what became of those before."""
        return self._has_waiting and now_s - self._moved_s >= NUDGE_AFTER_S

    def nudged(self, now_s: float) -> None:
        self._moved_s = now_s
