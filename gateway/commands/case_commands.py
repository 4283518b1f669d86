"""Actions of officers and institutions: builds the action, appends it, and waits for the decision of the log.

Invariant: the gateway decides nothing about a case. It writes a request with a deterministic id and returns the outcome that
`track` recorded. A retry with the same Idempotency-Key is the same action and is never appended twice, so a refused command
cannot succeed on retry. The actor is always the token's subject.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from redis.exceptions import RedisError

from gateway.adapters.idempotency import Idempotency, StateUnavailable, once
from gateway.adapters.kafka import Position, RequestLog
from gateway.metrics import METRICS
from gateway.problems import PROBLEMS, Problem, later
from gateway.security.auth import Caller, Role
from schemas.cases.case import Action, ActionKind, ActionOutcome, Case, CaseChange
from schemas.codec import encode
from schemas.security import Tokenizer
from schemas.topics import CASE_COMMANDS
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import KeyedEntry
from stream_processors.views.api import Views
from stream_processors.views.reading import Rebuilding

_POLL_FIRST_S, _POLL_LAST_S = 0.01, 0.05
_GOES_ON = frozenset({ActionKind.MEASURE})
"""Actions that follow a case that was merged or split meanwhile. The id of such an action includes its case, so that it never
finds the outcome of another case."""


class Wanted(NamedTuple):
    """A requested action. `text` is all of it, readable: one Idempotency-Key names one such text permanently, and it stays here.
    `members`: the members of the Action besides case and actor. They contain sealed values, so they are made only when the action
    is appended."""

    kind: ActionKind
    text: str = ""
    members: Callable[[], Mapping[str, Any]] = dict


class Standing(NamedTuple):
    """The memory of an action from before its append, under its id."""

    actor: str
    case_id: str
    kind: str
    print: str


class Done(NamedTuple):
    """Applied; `case` is the deciding case, at least at the action's revision."""

    case: Case


class Pending(NamedTuple):
    """In the log, not decided within the wait."""

    action_id: str
    memo: Standing


class Desk:
    """`act` on a case; `undecided` and `decided` for the routes that ask later."""

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
        self._log, self._memory, self._views = log, memory, views
        self._tokenizer = tokenizer
        self._wait_s, self._retry_after_s = wait_s, retry_after_s
        self._now, self._sleep = now, sleep

    def action_id(self, *names: str) -> str:
        """From (actor, key, …), or a new one."""
        if not names:
            return f"act-{secrets.token_urlsafe(16)}"
        return "act-" + self._tokenizer.token("action", *names).partition(".")[2]

    async def act(self, caller: Caller, case: Case, requested: Wanted, action_id: str) -> Done | Pending:
        """Problem if it was refused, or if it is unknown whether the log has it."""
        print_ = self._tokenizer.token("print", case.case_id, requested.kind.value, requested.text)
        memo = Standing(actor_of(caller), case.case_id, requested.kind.value, print_)
        there = await self._remember(action_id, memo)
        if there != memo:
            raise Problem("reference-reused", "this Idempotency-Key was used for another action")
        change = await self._views.action(action_id)
        if change is not None and change.case_id != case.case_id and requested.kind not in _GOES_ON:
            raise Problem("reference-reused", "this Idempotency-Key was used for another case")
        if change is None:
            await once(self._memory, action_id, lambda: self._append(action_id, case, caller, requested))
        return await self._outcome(action_id, memo, change)

    async def recall_action(self, action_id: str) -> Standing | None:
        """Returns what `act` stored under an id; None if there is nothing."""
        raw = await self._memory.recall(f"a{action_id}")
        return None if raw is None else Standing(*orjson.loads(raw))

    async def _remember(self, action_id: str, memo: Standing) -> Standing:
        return Standing(*orjson.loads(await self._memory.keep(f"a{action_id}", orjson.dumps(tuple(memo)).decode())))

    async def _append(self, action_id: str, case: Case, caller: Caller, requested: Wanted) -> None:
        who = {"officer": caller.subject} if caller.role is Role.OFFICER else {}
        members = {"queue": case.queue, **who, **requested.members()}
        action = Action(action_id=action_id, case_id=case.case_id, kind=requested.kind, **members)
        actor = actor_of(caller)
        value = encode(
            CASE_COMMANDS, action, id=action_id, source="/gateway", actor=actor, time=self._now(), subject=case.case_id
        )
        point("gateway.action_built")
        landed = await self._log.append(CASE_COMMANDS, [KeyedEntry(case.case_id.encode(), value)])
        point("gateway.action_appended")
        if not isinstance(landed[0], Position):
            raise later(
                "log-unavailable",
                "the broker did not acknowledge; read the case again, or retry with the same Idempotency-Key",
                self._retry_after_s,
            )

    async def _outcome(self, action_id: str, memo: Standing, change: CaseChange | None) -> Done | Pending:
        deadline = time.monotonic() + self._wait_s
        pause_s = _POLL_FIRST_S
        while True:
            if change is None:
                change = await self._look(action_id)
            if change is not None and change.outcome is ActionOutcome.REFUSED:
                METRICS.actions.labels("refused").inc()
                raise refused(change)
            if change is not None:
                case = await self._at_least(change.case_id or memo.case_id, change.revision or 0)
                if case is not None:
                    METRICS.actions.labels("applied").inc()
                    return Done(case)
            if time.monotonic() + pause_s > deadline:
                METRICS.actions.labels("pending").inc()
                return Pending(action_id, memo)
            await self._sleep(pause_s)
            pause_s = min(pause_s * 1.5, _POLL_LAST_S)

    async def _look(self, action_id: str) -> CaseChange | None:
        """The log already has the action, so unavailable views only make it pending."""
        try:
            return await self._views.action(action_id)
        except (Rebuilding, RedisError, StateUnavailable):
            return None

    async def _at_least(self, case_id: str, revision: int) -> Case | None:
        try:
            case = await self._views.case(case_id)
        except (Rebuilding, RedisError, StateUnavailable):
            return None
        return case if case is not None and case.revision >= revision else None


def actor_of(caller: Caller) -> str:
    """Returns the actor as the log names it: `officer:wang`, `institution:bank-001`."""
    return f"{caller.role.value}:{caller.subject}"


def refused(change: CaseChange) -> Problem:
    """Returns the problem that `track` named, with the allowed actions if the state refused it."""
    slug = change.problem if change.problem in PROBLEMS else "transition-not-allowed"
    more: dict[str, Any] = (
        {"allowed_transitions": list(change.allowed_transitions)}
        if change.allowed_transitions or slug in ("transition-not-allowed", "case-disposed")
        else {}
    )
    return Problem(slug, change.detail or "the case does not allow this", revision=change.revision, **more)
