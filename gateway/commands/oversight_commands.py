"""Requests to the stage `oversee`: appends them and waits for the decision of the log, as `CaseCommands` does for cases.

Invariant: the gateway decides nothing. A retry with the same Idempotency-Key is the same request, returns the same record and is
never appended twice, so a refused request cannot succeed on retry.
"""

from __future__ import annotations

import secrets

from gateway.adapters.idempotency import Idempotency, once
from gateway.commands.submit import Command, Submitter
from gateway.http.caller import Caller
from gateway.http.problem_table import PROBLEMS
from gateway.http.problems import Problem
from schemas.cases.case import ActionOutcome
from schemas.oversight.oversight import OversightAction, OversightChange, Record
from schemas.security import Tokenizer
from schemas.topics import APPRAISAL_COMMANDS
from stream_processors.runtime.crash_points import point
from stream_processors.views.api import Views

_SLUGS = {"invalid-command": "invalid-request", "not-yours": "forbidden"}
"""Refusals of requests that are invalid in any state, mapped to the problem that the gateway's own checks would answer."""


class OversightCommands:
    """`act` on a record."""

    def __init__(self, submitter: Submitter, memory: Idempotency, views: Views, tokenizer: Tokenizer) -> None:
        self._submitter, self._memory, self._views, self._tokenizer = submitter, memory, views, tokenizer

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
            await once(self._memory, move_id, lambda: self._append_action(caller, action))
        return await self._await_record(action, change)

    async def _append_action(self, caller: Caller, action: OversightAction) -> None:
        point("gateway.oversight_built")
        advice = "read the record again, or retry with the same Idempotency-Key"
        command = Command(action.move.action_id, action.about, action)
        await self._submitter.append_one(APPRAISAL_COMMANDS, command, caller, advice=advice)
        point("gateway.oversight_appended")

    async def _await_record(self, action: OversightAction, change: OversightChange | None) -> Record | None:
        async def read_record() -> Record | None:
            nonlocal change
            change = change or await self._views.oversight_action(action.move.action_id)
            if change is not None and change.outcome is ActionOutcome.REFUSED:
                raise _problem_of(change)
            return await self._views.overseen(action.about) if change is not None else None

        def is_new_enough(record: Record | None) -> bool:
            return change is not None and record is not None and record.revision >= (change.revision or 0)

        return await self._submitter.await_outcome(read_record, is_new_enough, self._submitter.deadline())


def _problem_of(change: OversightChange) -> Problem:
    slug = _SLUGS.get(change.problem or "", change.problem or "")
    detail = change.detail or "this action is not allowed in the current state"
    if slug == "invalid-request":
        return Problem(slug, detail, errors=[])
    return Problem(slug if slug in PROBLEMS else "transition-not-allowed", detail, revision=change.revision)
