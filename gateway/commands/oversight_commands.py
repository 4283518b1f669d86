"""Requests to the stage `oversee`: appends them and waits for the decision of the log, as `Desk` does for cases.

Invariant: the gateway decides nothing. A retry with the same Idempotency-Key is the same request, returns the same record and is
never appended twice, so a refused request cannot succeed on retry.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from redis.exceptions import RedisError

from gateway.adapters.idempotency import Idempotency, StateUnavailable, once
from gateway.adapters.kafka import Position, RequestLog
from gateway.problems import PROBLEMS, Problem, later
from gateway.security.auth import Caller, Role
from schemas.cases.case import ActionOutcome
from schemas.codec import encode
from schemas.oversight.oversight import OversightAction, OversightChange, Record
from schemas.security import Tokenizer
from schemas.topics import APPRAISAL_COMMANDS
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import KeyedEntry
from stream_processors.views.api import Views
from stream_processors.views.reading import Rebuilding

_POLL_FIRST_S, _POLL_LAST_S = 0.01, 0.05
_SLUGS = {"invalid-command": "invalid-request", "not-yours": "forbidden"}
"""Refusals of requests that are invalid in any state, mapped to the problem that the gateway's own checks would answer."""


class Bureau:
    """`act` on a record."""

    def __init__(
        self,
        log: RequestLog,
        memory: Idempotency,
        views: Views,
        tokenizer: Tokenizer,
        *,
        wait_s: float,
        retry_after_s: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._log, self._memory, self._views, self._tokenizer = log, memory, views, tokenizer
        self._wait_s, self._retry_after_s, self._now, self._sleep = wait_s, retry_after_s, now, sleep

    def move_id(self, caller: Caller, path: str, key: str | None) -> str:
        """From the caller, the route and the Idempotency-Key, or a new one."""
        if key is None:
            return f"mov-{secrets.token_urlsafe(16)}"
        return "mov-" + self._tokenizer.token("oversight", caller.subject, path, key).partition(".")[2]

    async def act(self, caller: Caller, action: OversightAction, text: str) -> Record | None:
        """Returns the record afterwards; None if the log has not decided yet. `text` is the body: a key has one permanently."""
        move_id = action.move.action_id
        print_ = self._tokenizer.token("print", action.about, text)
        if await self._memory.keep(f"v{move_id}", print_) != print_:
            raise Problem("reference-reused", "this Idempotency-Key was used for another request")
        change = await self._views.oversight_action(move_id)
        if change is None:
            await once(self._memory, move_id, lambda: self._append(caller, action))
        return await self._outcome(action, change)

    async def _append(self, caller: Caller, action: OversightAction) -> None:
        kind = "institution" if caller.role is Role.INSTITUTION else "officer"
        actor, move_id = f"{kind}:{caller.subject}", action.move.action_id
        value = encode(
            APPRAISAL_COMMANDS, action, id=move_id, source="/gateway", actor=actor, time=self._now(), subject=action.about
        )
        point("gateway.oversight_built")
        landed = await self._log.append(APPRAISAL_COMMANDS, [KeyedEntry(action.about.encode(), value)])
        point("gateway.oversight_appended")
        if not isinstance(landed[0], Position):
            detail = "the broker did not acknowledge; read the record again, or retry with the same Idempotency-Key"
            raise later("log-unavailable", detail, self._retry_after_s)

    async def _outcome(self, action: OversightAction, change: OversightChange | None) -> Record | None:
        deadline, pause_s = time.monotonic() + self._wait_s, _POLL_FIRST_S
        while True:
            try:
                change = change or await self._views.oversight_action(action.move.action_id)
                if change is not None and change.outcome is ActionOutcome.REFUSED:
                    raise _refused(change)
                record = await self._views.overseen(action.about) if change is not None else None
            except (Rebuilding, RedisError, StateUnavailable):
                record = None  # in the log by now: views that are away only make it pending
            if change is not None and record is not None and record.revision >= (change.revision or 0):
                return record
            if time.monotonic() + pause_s > deadline:
                return None
            await self._sleep(pause_s)
            pause_s = min(pause_s * 1.5, _POLL_LAST_S)


def _refused(change: OversightChange) -> Problem:
    slug = _SLUGS.get(change.problem or "", change.problem or "")
    detail = change.detail or "this action is not allowed in the current state"
    if slug == "invalid-request":
        return Problem(slug, detail, errors=[])
    return Problem(slug if slug in PROBLEMS else "transition-not-allowed", detail, revision=change.revision)
