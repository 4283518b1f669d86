"""Errors of the client, by the caller's options. Each problem type of the gateway maps to one of these
(docs/reference/errors.md).

Invariant: no error contains a token or repeats a sent value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json

from .models import SignalOutcome


class ClientError(Exception):
    """Any failure of the client."""


class Unavailable(ClientError):
    """The tries are used up, and the log may or may not have the signal: send it again later with the same reference."""


class StillPending(ClientError):
    """Not assessed within the time. `last` is the newest status, None if there was none. The log has the signal."""

    def __init__(self, signal_id: str, timeout_s: float, last: SignalOutcome | None) -> None:
        super().__init__(f"{signal_id} was not assessed within {timeout_s:g} s")
        self.last = last


class SignalFault(NamedTuple):
    """One place of the body and its fault."""

    pointer: str
    detail: str


class ProblemError(ClientError):
    """The gateway refused the request, and will refuse it again. `slug` is the last part of the problem's type."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.slug = slug_of(problem)
        self.title = str(problem.get("title") or "no problem details")
        self.detail = str(problem.get("detail") or "")
        self.faults = faults_of(problem)
        super().__init__(describe_problem(status, problem))


class Unauthenticated(ProblemError):
    """The token is missing, expired or not valid for this gateway."""


class Forbidden(ProblemError):
    """The token is valid, but its role does not permit this."""


class NotFound(ProblemError):
    """You have no such signal."""


class TooLarge(ProblemError):
    """The request exceeds one of the gateway's limits."""


class InvalidSignal(ProblemError):
    """The body is not valid; `faults` lists each place."""


class ReferenceReused(ProblemError):
    """The reference named another body before. A changed signal requires a new one."""


_BY_SLUG: dict[str, type[ProblemError]] = {"reference-reused": ReferenceReused}
_BY_STATUS: dict[int, type[ProblemError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    413: TooLarge,
    422: InvalidSignal,
}


def problem_error(status: int, problem: Mapping[str, Any]) -> ProblemError:
    """Returns the error for a problem by its type, else by its status."""
    kind = _BY_SLUG.get(slug_of(problem)) or _BY_STATUS.get(status, ProblemError)
    return kind(status, problem)


def problem_of(body: bytes) -> dict[str, Any]:
    """Returns the problem details of a response; empty if there are none (a proxy's page)."""
    try:
        problem = from_json(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def slug_of(problem: Mapping[str, Any]) -> str:
    return str(problem.get("type") or "").rpartition(":")[2]


def faults_of(problem: Mapping[str, Any]) -> tuple[SignalFault, ...]:
    entries = problem.get("errors")
    return tuple(
        SignalFault(str(entry.get("pointer") or "body"), str(entry.get("detail")))
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping)
    )


def describe_problem(status: int, problem: Mapping[str, Any]) -> str:
    """Renders a problem as one line: `422 The signal is not valid: /region: ...`."""
    details = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults_of(problem)) or str(problem.get("detail") or "")
    return f"{status} {problem.get('title') or ''}: {details}".replace(" : ", ": ").rstrip(": ")
