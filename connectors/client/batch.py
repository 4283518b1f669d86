"""Sends many signals over `POST /v1/signals/batch` until each line has a final result. Steps without I/O.

Invariant: an answer is `accepted` only after the broker acknowledged it. If the outcome is unknown (a broken connection, a
time-out, a 5xx), the same reference is sent again, so it counts once however often it arrives.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic_core import from_json, to_json

from .backoff import retry_after_s
from .errors import describe_problem, faults_of, problem_error, problem_of, slug_of
from .models import Advisory, SignalAnswer
from .sansio import HttpRequest, Reply, RetryPolicy, Steps, ask, is_for_later

BATCH_PATH = "/v1/signals/batch"
NDJSON = "application/x-ndjson"
_TOO_MUCH = ("too-many-lines", "body-too-large")
_NOT_TAKEN = ("request-in-progress", "overloaded", "keys-unavailable", *_TOO_MUCH)
"""Problems after which the log contains nothing of this attempt, according to docs/reference/errors.md."""
_SPLIT = "too large for one request"
_GZIP_FROM_BYTES = 1024


class Journal(Protocol):
    """Records every attempt before it is made, and its outcome. Indexes are those of the bodies."""

    def trying(self, indexes: Sequence[int]) -> None: ...

    def answered(self, index: int, answer: SignalAnswer) -> None: ...

    def failed(self, indexes: Sequence[int], why: str, *, taken: bool | None) -> None:
        """`taken` False: certainly not in the log; None: unknown."""

    def settled(self) -> None:
        """Called after each attempt, to make the records durable."""


@dataclass
class _Outcomes:
    """The outcome of one request: final results by index, the lines to send again, and the wait that the gateway asked for."""

    answers: dict[int, SignalAnswer] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)
    not_taken: list[int] = field(default_factory=list)
    why: str = ""
    wait_s: float | None = None
    split: bool = False


def send_all(
    bodies: Sequence[Mapping[str, Any]], *, patience: RetryPolicy, journal: Journal | None = None, compress: bool = False
) -> Steps[list[SignalAnswer]]:
    """Returns one final result for each body, in order. ProblemError if no retry can help, Unavailable after the last try."""
    lines = [to_json(body) for body in bodies]
    answers: dict[int, SignalAnswer] = {}
    pending, tries, size = list(range(len(lines))), 0, len(lines)
    while pending:
        now, later = pending[:size], pending[size:]
        if journal:
            journal.trying(now)
        outcomes = _read_outcomes((yield from ask(_build_request(lines, now, compress))), now)
        _tell_journal(journal, outcomes)
        answers |= outcomes.answers
        again = sorted(outcomes.unknown + outcomes.not_taken)
        pending = again + later
        if outcomes.split and len(now) > 1:
            size = max(1, len(now) // 2)
        elif again:
            tries = 1 if outcomes.answers else tries + 1
            yield patience.wait(tries, outcomes.why, outcomes.wait_s, f"retrying {len(again)} signals")
    return [answers[index] for index in range(len(lines))]


def _build_request(lines: Sequence[bytes], indexes: Sequence[int], compress: bool) -> HttpRequest:
    headers = {"content-type": NDJSON, "accept": NDJSON}
    content = b"\n".join(lines[index] for index in indexes) + b"\n"
    if compress and len(content) >= _GZIP_FROM_BYTES:
        headers["content-encoding"] = "gzip"
        content = gzip.compress(content, 4, mtime=0)
    return HttpRequest("POST", BATCH_PATH, headers, content)


def _read_outcomes(reply: Reply, indexes: Sequence[int]) -> _Outcomes:
    outcomes, last_position = _Outcomes(), -1
    if not reply.reached:
        outcomes.not_taken, outcomes.why = list(indexes), reply.broke or ""
        return outcomes
    if reply.status >= 300 and reply.broke is None:
        return _read_problem(reply, indexes)
    outcomes.why = reply.broke or ""
    try:
        for text in reply.body.splitlines() if reply.status < 300 else ():
            if text.strip():
                last_position = _read_line(outcomes, from_json(text), indexes)
    except (ValueError, KeyError, TypeError) as error:
        outcomes.why = outcomes.why or f"the response broke off ({type(error).__name__})"
    answered = {*outcomes.answers, *outcomes.unknown, *outcomes.not_taken}
    silent = [index for index in indexes if index not in answered]
    if silent:
        outcomes.why = outcomes.why or (f"no response for {len(silent)} lines (the last answered line was {last_position + 1})")
        outcomes.unknown += silent
    return outcomes


def _tell_journal(journal: Journal | None, outcomes: _Outcomes) -> None:
    if journal is None:
        return
    for index, answer in outcomes.answers.items():
        journal.answered(index, answer)
    if outcomes.unknown:
        journal.failed(outcomes.unknown, outcomes.why, taken=None)
    if outcomes.not_taken:
        journal.failed(outcomes.not_taken, outcomes.why, taken=False)
    journal.settled()


def _read_problem(reply: Reply, indexes: Sequence[int]) -> _Outcomes:
    """Handles a problem that answers the request as a whole."""
    problem = problem_of(reply.body)
    status, slug = reply.status, slug_of(problem)
    if status == 413:
        if len(indexes) == 1:
            refused = SignalAnswer("refused", reason=describe_problem(status, problem), problem=problem)
            return _Outcomes(answers=dict.fromkeys(indexes, refused))
        return _Outcomes(not_taken=list(indexes), why=_SPLIT, split=True)
    if is_for_later(status, slug):
        outcomes = _Outcomes(why=describe_problem(status, problem), wait_s=retry_after_s(reply.headers.get("retry-after")))
        (outcomes.not_taken if status == 429 or slug in _NOT_TAKEN else outcomes.unknown).extend(indexes)
        return outcomes
    raise problem_error(status, problem)


def _read_line(outcomes: _Outcomes, line: Mapping[str, Any], indexes: Sequence[int]) -> int:
    """Handles one line of the response. Returns the position of its line in this request (`line` counts from 1)."""
    at = int(line["line"]) - 1
    if not 0 <= at < len(indexes):
        return at
    index, status = indexes[at], int(line["status"])
    problem = line.get("problem") or {}
    slug = slug_of(problem)
    if status < 300:
        outcomes.answers[index] = _read_accepted(line)
    elif slug in _TOO_MUCH:
        outcomes.not_taken.append(index)
        outcomes.why, outcomes.split = _SPLIT, True
    elif is_for_later(status, slug):
        (outcomes.not_taken if slug in _NOT_TAKEN else outcomes.unknown).append(index)
        outcomes.why = outcomes.why or describe_problem(status, problem)
    else:
        outcomes.answers[index] = SignalAnswer("refused", reason=_describe_faults(status, problem), problem=dict(problem))
    return at


def _read_accepted(line: Mapping[str, Any]) -> SignalAnswer:
    advisories = tuple(Advisory.model_validate(advisory) for advisory in line.get("advisories") or ())
    replayed = bool(line.get("replayed"))
    return SignalAnswer(
        "accepted", line["signal_id"], line["accepted_at"], line.get("receipt"), replayed=replayed, advisories=advisories
    )


def _describe_faults(status: int, problem: Mapping[str, Any]) -> str:
    """Returns all faults of the line in one sentence."""
    faults = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults_of(problem))
    return f"{problem.get('title') or status}: {faults or problem.get('detail') or ''}".rstrip(": ")
