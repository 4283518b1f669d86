"""Actions of officers and institutions: builds the action, appends it, and waits for the decision of the log.

Invariant: the gateway decides nothing about a case. It writes a request with a deterministic id and returns the outcome that
`track` recorded. A retry with the same Idempotency-Key is the same action and is never appended twice, so a refused command
cannot succeed on retry. The actor is always the token's subject.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from gateway.adapters.idempotency import Idempotency, once
from gateway.adapters.stage_lag import WaitUntilCaughtUp
from gateway.commands.submit import Command, Submitter
from gateway.http.caller import Caller, Role
from gateway.http.problem_table import PROBLEMS
from gateway.http.problems import Problem
from schemas.cases.case import Action, ActionKind, ActionOutcome, Case, CaseChange
from schemas.security import Tokenizer
from schemas.topics import CASE_COMMANDS
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.views.api import Views

_GOES_ON = frozenset({ActionKind.MEASURE})
"""Actions that follow a case that was merged or split meanwhile. The id of such an action includes its case, so that it never
finds the outcome of another case."""


class CaseRequest(NamedTuple):
    """A requested action. `text` is all of it, readable: one Idempotency-Key names one such text permanently, and it stays here.
    `members`: the members of the Action besides case and actor. They contain sealed values, so they are made only when the action
    is appended."""

    kind: ActionKind
    text: str = ""
    members: Callable[[], Mapping[str, Any]] = dict


class ActionMemo(NamedTuple):
    """The memory of an action from before its append, under its id."""

    actor: str
    case_id: str
    kind: str
    print: str


class AppliedAction(NamedTuple):
    """Applied; `case` is the deciding case, at least at the action's revision."""

    case: Case


class PendingAction(NamedTuple):
    """In the log, not decided within the wait."""

    action_id: str
    memo: ActionMemo


class CaseCommands:
    """`act` on a case; `recall_action` for the route that asks later."""

    def __init__(
        self, submitter: Submitter, memory: Idempotency, views: Views, tokenizer: Tokenizer, caught_up: WaitUntilCaughtUp
    ) -> None:
        self._submitter, self._memory, self._views, self._tokenizer = submitter, memory, views, tokenizer
        self.caught_up = caught_up

    def action_id(self, *names: str) -> str:
        """From (actor, key, …), or a new one."""
        if not names:
            return f"act-{secrets.token_urlsafe(16)}"
        return "act-" + self._tokenizer.token("action", *names).partition(".")[2]

    async def act(self, caller: Caller, case: Case, requested: CaseRequest, action_id: str) -> AppliedAction | PendingAction:
        """Problem if it was refused, or if it is unknown whether the log has it."""
        print_ = self._tokenizer.token("print", case.case_id, requested.kind.value, requested.text)
        memo = ActionMemo(caller.actor, case.case_id, requested.kind.value, print_)
        there = await self._remember_action(action_id, memo)
        if there != memo:
            raise Problem("reference-reused", "this Idempotency-Key was used for another action")
        change = await self._views.action(action_id)
        if change is not None and change.case_id != case.case_id and requested.kind not in _GOES_ON:
            raise Problem("reference-reused", "this Idempotency-Key was used for another case")
        if change is None:
            await once(self._memory, action_id, lambda: self._append_action(action_id, case, caller, requested))
        return await self._await_outcome(action_id, memo, change)

    async def recall_action(self, action_id: str) -> ActionMemo | None:
        """Returns what `act` stored under an id; None if there is nothing."""
        raw = await self._memory.recall(f"a{action_id}")
        return None if raw is None else ActionMemo(*orjson.loads(raw))

    async def recall_case(self, action_id: str) -> str | None:
        """The case of an earlier action. The gateway's memory has it from before the append. If that is lost with Redis, the log
        still has the action, so its outcome is awaited: the same key never claims two cases."""
        if (memo := await self.recall_action(action_id)) is not None:
            return memo.case_id
        await self.caught_up()
        change = await self._views.action(action_id)
        return None if change is None else change.case_id

    async def _remember_action(self, action_id: str, memo: ActionMemo) -> ActionMemo:
        return ActionMemo(*orjson.loads(await self._memory.keep(f"a{action_id}", orjson.dumps(tuple(memo)).decode())))

    async def _append_action(self, action_id: str, case: Case, caller: Caller, requested: CaseRequest) -> None:
        who = {"officer": caller.subject} if caller.role is Role.OFFICER else {}
        members = {"queue": case.queue, **who, **requested.members()}
        action = Action(action_id=action_id, case_id=case.case_id, kind=requested.kind, **members)
        point("gateway.action_built")
        advice = "read the case again, or retry with the same Idempotency-Key"
        await self._submitter.append_one(CASE_COMMANDS, Command(action_id, case.case_id, action), caller, advice=advice)
        point("gateway.action_appended")

    async def _await_outcome(self, action_id: str, memo: ActionMemo, change: CaseChange | None) -> AppliedAction | PendingAction:
        async def read_case() -> Case | None:
            nonlocal change
            change = change or await self._views.action(action_id)
            if change is None:
                return None
            if change.outcome is ActionOutcome.REFUSED:
                METRICS.actions.labels("refused").inc()
                raise refused(change)
            return await self._views.case(change.case_id or memo.case_id)

        def is_new_enough(case: Case) -> bool:
            return change is not None and case.revision >= (change.revision or 0)

        case = await self._submitter.await_outcome(read_case, is_new_enough, self._submitter.deadline())
        METRICS.actions.labels("pending" if case is None else "applied").inc()
        return PendingAction(action_id, memo) if case is None else AppliedAction(case)


def refused(change: CaseChange) -> Problem:
    """Returns the problem that `track` named, with the allowed actions if the state refused it."""
    slug = change.problem if change.problem in PROBLEMS else "transition-not-allowed"
    more: dict[str, Any] = (
        {"allowed_transitions": list(change.allowed_transitions)}
        if change.allowed_transitions or slug in ("transition-not-allowed", "case-disposed")
        else {}
    )
    return Problem(slug, change.detail or "the case does not allow this", revision=change.revision, **more)
