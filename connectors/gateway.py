"""The way in: batches of signals over `POST /v1/signals/batch`, again and again until each line has a last word.

Invariant: an answer `accepted` was given by the gateway after the broker's acknowledgement; what is unknown (a cut
connection, a time-out, a 5xx) is sent again with the same reference, so it counts once however often it arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import orjson

from connectors.backoff import Backoff, retry_after_s
from connectors.port import Answer

BATCH_PATH = "/v1/signals/batch"
NDJSON = "application/x-ndjson"
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_TOO_MUCH = ("too-many-lines", "body-too-large")
_NOT_TAKEN = ("in-flight", "overloaded", "keys-unavailable", *_TOO_MUCH)
"""Problems of which the gateway's own page says that this attempt put nothing into the log."""
_LATER = (408, 409, 425, 429)
_SPLIT = "too large for one request"


class Stopped(RuntimeError):
    """The gateway will not take anything from this sender as it is (token, address, role): a person must look."""


class Journal(Protocol):
    """Hears of every attempt before it is made and of what became of it. Indexes are those of `send`."""

    def trying(self, indexes: Sequence[int]) -> None: ...

    def answered(self, index: int, answer: Answer) -> None: ...

    def failed(self, indexes: Sequence[int], why: str, *, taken: bool | None) -> None:
        """`taken` False: surely not in the log; None: nobody knows."""

    def settled(self) -> None:
        """After each attempt: a moment to make it durable."""


@dataclass
class _Outcome:
    """What one request told: last words by index, the lines to send again, and how long the gateway asked to wait."""

    answers: dict[int, Answer] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)
    not_taken: list[int] = field(default_factory=list)
    why: str = ""
    wait_s: float | None = None
    split: bool = False


class HttpGateway:
    """One institution's way in. `token` is asked for each request, so that a fresh one can be used."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        token: Callable[[], str],
        *,
        backoff: Backoff | None = None,
        journal: Callable[[Sequence[Mapping[str, Any]]], Journal] | None = None,
        told: Callable[[str], None] = lambda line: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        give_up_after: int | None = None,
    ) -> None:
        self._client = client
        self._token = token
        self._backoff = backoff or Backoff()
        self._journal = journal
        self._told = told
        self._sleep = sleep
        self._give_up_after = give_up_after

    async def send(self, bodies: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """One last word a body, in order. Stopped when no retry can help."""
        journal = self._journal(bodies) if self._journal else None
        lines = [orjson.dumps(body) for body in bodies]
        answers: dict[int, Answer] = {}
        left, tries, size = list(range(len(lines))), 0, len(lines)
        while left:
            now, later = left[:size], left[size:]
            if journal:
                journal.trying(now)
            outcome = await self._attempt(lines, now)
            _tell(journal, outcome)
            answers |= outcome.answers
            again = sorted(outcome.unknown + outcome.not_taken)
            left = again + later
            if outcome.split and len(now) > 1:
                size = max(1, len(now) // 2)
            elif again:
                tries = 1 if outcome.answers else tries + 1
                if self._give_up_after is not None and tries > self._give_up_after:
                    raise Stopped(f"given up after {tries - 1} tries: {outcome.why}")
                wait = self._backoff.wait_s(tries, outcome.wait_s)
                self._told(f"{outcome.why}; {len(again)} signals again in {wait:.1f} s")
                await self._sleep(wait)
        return [answers[index] for index in range(len(lines))]

    async def _attempt(self, lines: Sequence[bytes], indexes: Sequence[int]) -> _Outcome:
        outcome, seen = _Outcome(), -1
        headers = {"authorization": f"Bearer {self._token()}", "content-type": NDJSON, "accept": NDJSON}
        content = b"\n".join(lines[index] for index in indexes) + b"\n"
        try:
            async with self._client.stream("POST", BATCH_PATH, content=content, headers=headers) as response:
                if response.status_code >= 300:
                    return _whole(response, await response.aread(), indexes)
                async for text in response.aiter_lines():
                    if text.strip():
                        seen = _line(outcome, orjson.loads(text), indexes)
        except _NEVER_SENT as error:
            outcome.not_taken, outcome.why = list(indexes), f"the gateway cannot be reached ({type(error).__name__})"
            return outcome
        except (httpx.TransportError, orjson.JSONDecodeError, KeyError) as error:
            outcome.why = f"the answer broke off ({type(error).__name__})"
        told = {*outcome.answers, *outcome.unknown, *outcome.not_taken}
        silent = [index for index in indexes if index not in told]
        if silent:
            outcome.why = outcome.why or f"no answer for {len(silent)} lines (the last one answered was {seen + 1})"
            outcome.unknown += silent
        return outcome


def _tell(journal: Journal | None, outcome: _Outcome) -> None:
    if journal is None:
        return
    for index, answer in outcome.answers.items():
        journal.answered(index, answer)
    if outcome.unknown:
        journal.failed(outcome.unknown, outcome.why, taken=None)
    if outcome.not_taken:
        journal.failed(outcome.not_taken, outcome.why, taken=False)
    journal.settled()


def _whole(response: httpx.Response, body: bytes, indexes: Sequence[int]) -> _Outcome:
    """The request as a whole was answered with a problem."""
    problem = _problem(body)
    status, slug = response.status_code, _slug(problem)
    said = f"{status} {problem.get('title') or response.reason_phrase}: {problem.get('detail') or ''}".rstrip(": ")
    if status == 413:
        if len(indexes) == 1:
            return _refused(indexes, said, problem)
        return _Outcome(not_taken=list(indexes), why=_SPLIT, split=True)
    if status in _LATER or status >= 500:
        outcome = _Outcome(why=said, wait_s=retry_after_s(response.headers.get("retry-after")))
        (outcome.not_taken if status == 429 or slug in _NOT_TAKEN else outcome.unknown).extend(indexes)
        return outcome
    raise Stopped(f"the gateway answered {said}")


def _refused(indexes: Sequence[int], said: str, problem: Mapping[str, Any]) -> _Outcome:
    return _Outcome(answers={index: Answer("refused", reason=said, problem=problem) for index in indexes})


def _line(outcome: _Outcome, told: Mapping[str, Any], indexes: Sequence[int]) -> int:
    """One line of the answer; the position of its line in this request (`line` counts from 1)."""
    at = int(told["line"]) - 1
    if not 0 <= at < len(indexes):
        return at
    index, status = indexes[at], int(told["status"])
    problem = told.get("problem") or {}
    if status < 300:
        where = told["position"]
        position = (str(where["topic"]), int(where["partition"]), int(where["offset"]))
        outcome.answers[index] = Answer(
            "accepted", told["signal_id"], told["accepted_at"], position, replayed=bool(told.get("replayed"))
        )
        return at
    said = f"{problem.get('title') or status}: {problem.get('detail') or ''}".rstrip(": ")
    if _slug(problem) in _TOO_MUCH:
        outcome.not_taken.append(index)
        outcome.why, outcome.split = _SPLIT, True
    elif status in _LATER or status >= 500:
        (outcome.not_taken if _slug(problem) in _NOT_TAKEN else outcome.unknown).append(index)
        outcome.why = outcome.why or f"{status} {said}"
    else:
        outcome.answers[index] = Answer("refused", reason=_reason(problem, said), problem=dict(problem))
    return at


def _reason(problem: Mapping[str, Any], said: str) -> str:
    """All faults of the line in one sentence."""
    faults = [one for one in problem.get("errors") or () if isinstance(one, Mapping)]
    told = "; ".join(f"{one.get('pointer') or 'body'}: {one.get('detail')}" for one in faults)
    return f"{problem.get('title') or 'refused'}: {told}" if told else said


def _problem(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _slug(problem: Mapping[str, Any]) -> str:
    return str(problem.get("type") or "").rpartition(":")[2]
