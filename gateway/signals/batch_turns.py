"""Fair turns for batches: one slice of one batch in each round of the event loop, institution by institution.

Invariant: other requests wait for one slice at most, however many batches there are. An institution with many batches gets no
more slices than one with a single batch.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # in the order in which institutions come to their turn
        self._is_scheduled = False

    async def wait(self, institution: str) -> None:
        """Returns when one more slice of this institution may run."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(institution, deque()).append(turn)
        self._schedule_next()
        await turn

    def _schedule_next(self) -> None:
        if not self._is_scheduled and self._waiting:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._begin_next)

    def _begin_next(self) -> None:
        self._is_scheduled = False
        while self._waiting:
            institution = next(iter(self._waiting))
            turns = self._waiting.pop(institution)
            turn = turns.popleft()
            if turns:
                self._waiting[institution] = turns
            if not turn.cancelled():
                turn.set_result(None)
                break
        self._schedule_next()
