"""A call as steps without I/O: a generator yields requests and waits, and receives the replies.

Retries, waits and their meaning are written once; `transport.py` runs them over a blocking or an asynchronous connection.
Invariant: a request that may be in the log is repeated only unchanged, under the same reference.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from .backoff import Backoff, retry_after_s
from .errors import Unavailable, describe_problem, problem_error, problem_of, slug_of


class HttpRequest(NamedTuple):
    """One request. The transport adds the token."""

    method: str
    path: str
    headers: Mapping[str, str] = {}
    content: bytes = b""


class Pause(NamedTuple):
    seconds: float


class Reply(NamedTuple):
    """The reply. `broke`: why it is incomplete; status 0: no reply, and `reached` False: certainly nothing was accepted."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    broke: str | None = None
    reached: bool = True


Result = TypeVar("Result")
Steps = Generator[HttpRequest | Pause, Reply | None, Result]

_LATER = (408, 425, 429)


def _say_nothing(line: str) -> None: ...


@dataclass(frozen=True)
class RetryPolicy:
    """The retry policy: `give_up_after` failures in a row (None: never give up), and a callback for each failure."""

    backoff: Backoff = field(default_factory=Backoff)
    give_up_after: int | None = 8
    told: Callable[[str], None] = _say_nothing

    def wait(self, tries: int, why: str, asked_s: float | None, what: str = "again") -> Pause:
        """Returns the wait after the `attempt_count`-th failure. Unavailable after the last one."""
        if self.give_up_after is not None and tries > self.give_up_after:
            raise Unavailable(f"gave up after {tries - 1} tries: {why}")
        seconds = self.backoff.wait_s(tries, asked_s)
        self.told(f"{why}; {what} in {seconds:.1f} s")
        return Pause(seconds)


def ask(request: HttpRequest) -> Steps[Reply]:
    reply = yield request
    assert reply is not None
    return reply


def is_for_later(status: int, slug: str) -> bool:
    """Whether the same request may succeed later: a failure of a dependency, a limit, or a request of ours still in progress."""
    return status >= 500 or status in _LATER or slug == "request-in-progress"


def until_answered(request: HttpRequest, patience: RetryPolicy) -> Steps[Reply]:
    """Repeats a request until it has a final result: the response if it succeeds, its ProblemError if not."""
    tries = 0
    while True:
        reply = yield from ask(request)
        if reply.broke is not None:
            why = reply.broke
        elif reply.status < 300:
            return reply
        else:
            problem = problem_of(reply.body)
            why = describe_problem(reply.status, problem)
            soon = reply.status == 409 and "retry-after" in reply.headers
            if not soon and not is_for_later(reply.status, slug_of(problem)):
                raise problem_error(reply.status, problem)
        tries += 1
        yield patience.wait(tries, why, retry_after_s(reply.headers.get("retry-after")))
