"""A problem that is raised anywhere below a route, and how it is answered and counted (RFC 9457).

Invariant: a problem that was answered keeps nothing of its request in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from gateway.http.problem_table import PROBLEMS, TYPE_PREFIX
from schemas.parsing import Refused
from stream_processors.runtime.metrics import GATEWAY as METRICS

MEDIA_TYPE = "application/problem+json"
METRICS.prepare((kind.slug, kind.status) for kind in PROBLEMS.values())


class Problem(Exception):
    """Raised anywhere below a route; answered as problem details. `more` are extension members."""

    def __init__(self, slug: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(f"{slug}: {detail}")
        self.kind = PROBLEMS[slug]
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def body(self) -> dict[str, Any]:
        """Returns the members of RFC 9457, then the extensions."""
        kind = self.kind
        return {"type": TYPE_PREFIX + kind.slug, "title": kind.title, "status": kind.status, "detail": self.detail, **self.more}

    def response(self) -> Response:
        return Response(orjson.dumps(self.body()), self.kind.status, self.headers, MEDIA_TYPE)


def unwound(error: BaseException) -> None:
    """Clears the traceback of an answered error. A traceback holds the frames, and a frame that holds the error forms a cycle:
    the request, its body too, would stay until the collector runs, hundreds of refusals later. Its cause can be a
    ValidationError, which holds a validator's own error and its frames. The collector cannot see into that, so such a cycle would
    stay permanently."""
    visited: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        raised = pending.pop()
        if raised is not None and id(raised) not in visited:
            visited.add(id(raised))
            pending += (raised.__cause__, raised.__context__)
            raised.__traceback__ = raised.__cause__ = raised.__context__ = None


def later(slug: str, detail: str, retry_after_s: int, **more: Any) -> Problem:
    """Returns a temporary problem with Retry-After in whole seconds."""
    return Problem(slug, detail, headers={"Retry-After": str(retry_after_s)}, **more)


def of_refused(refusal: Refused) -> Problem:
    """Returns the problem of an unreadable body, with its faults as `errors` if they have places."""
    if refusal.faults is None:
        return Problem(refusal.slug, refusal.detail)
    return Problem(refusal.slug, refusal.detail, errors=[fault._asdict() for fault in refusal.faults])


def count_problem(slug: str, status: int, n: int = 1) -> None:
    """Counts an answered problem: what is unavailable apart from what is refused."""
    (METRICS.unavailable if status == 503 else METRICS.refused).labels(slug).inc(n)
