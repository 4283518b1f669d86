"""Tracks the timekeeper's unanswered requests in one partition. Pure.

Re-sending early only adds load, worst when `track` is already behind. A request that was answered but is still indexed was
refused as premature, so it is sent again. Invariant: a moment has at most one request in flight, and none for ever: a request
that the log lost is noticed and repeated.
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
    """`since`: the end of the partition's actions when its owner came. Earlier ones may contain requests of the previous owner:
    while there are many, nothing is requested, because a request would only queue behind them. A few are rather sent twice than
    late."""

    def __init__(self, since: int, now_s: float) -> None:
        self._since, self._answered, self._moved_s = since, 0, now_s
        self._line: deque[tuple[int, float, Member]] = deque()
        self._under_way: set[Member] = set()

    def answered(self, upto: int, now_s: float) -> None:
        """The index has the facts of the actions before this offset."""
        if upto != self._answered:
            self._answered, self._moved_s = upto, now_s
        while self._line and self._line[0][0] < upto and self._line[0][1] + AGAIN_AFTER_S <= now_s:
            self._under_way.discard(self._line.popleft()[2])

    @property
    def room(self) -> int:
        """How many more may be requested."""
        return 0 if self._is_behind else max(0, MOST_WAITING - len(self._line))

    @property
    def _is_behind(self) -> bool:
        return self._since - self._answered > FEW

    def free(self, member: Member) -> bool:
        return member not in self._under_way

    def asked(self, members: Sequence[Member], base: int, now_s: float) -> None:
        """Their requests landed in sequence from the offset `base` on: the log lost any that were there before."""
        if not self._has_waiting:
            self._moved_s = now_s
        while self._line and self._line[-1][0] >= base:
            self._under_way.discard(self._line.pop()[2])
        self._line.extend((base + n, now_s, member) for n, member in enumerate(members))
        self._under_way.update(members)

    @property
    def _has_waiting(self) -> bool:
        """Whether something is unanswered."""
        return self._is_behind or (bool(self._line) and self._line[-1][0] >= self._answered)

    def stuck(self, now_s: float) -> bool:
        """Whether a request must be repeated to see what became of earlier ones."""
        return self._has_waiting and now_s - self._moved_s >= NUDGE_AFTER_S

    def nudged(self, now_s: float) -> None:
        self._moved_s = now_s
