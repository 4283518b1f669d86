"""Every error that the gateway answers, declared once (RFC 9457). `python -m gateway.problems` prints docs/errors.md.

Invariant: no answer of the gateway has an error status without one of these slugs, and none repeats a sender's values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response

from schemas.reading import Refused

TYPE_PREFIX = "urn:liandong:problem:"
MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """`meaning` is for the docs: what happened and what to do."""

    slug: str
    status: int
    title: str
    meaning: str


_TABLE = (
    Kind(
        "unauthenticated",
        401,
        "No valid token",
        "Send `Authorization: Bearer <JWT>`; the detail says what is wrong with the one sent.",
    ),
    Kind(
        "forbidden",
        403,
        "Not allowed for this role or queue",
        "The token is valid, its role or its queues do not cover this.",
    ),
    Kind("not-found", 404, "Not found", "There is nothing here, or it is not yours to see."),
    Kind("method-not-allowed", 405, "Method not allowed", "See `Allow`."),
    Kind(
        "in-flight",
        409,
        "The same reference is being accepted now",
        "Another request with it has not ended. Ask again after `Retry-After`.",
    ),
    Kind(
        "stale-revision",
        409,
        "The case has changed",
        "The case is at another revision than the request. Read it again; `revision` tells the present one.",
    ),
    Kind("not-holder", 409, "You do not hold the case", "Only its holder may do this. Claim it first."),
    Kind(
        "held-by-other",
        409,
        "Another officer holds the case",
        "Its lease has not run out. Take another one, or ask for a hand-over.",
    ),
    Kind("disposed", 409, "The case is disposed", "It is opened again by its next signal, not by hand."),
    Kind(
        "not-allowed",
        409,
        "The case does not allow this now",
        "The case's state has no such move; the detail says which.",
    ),
    Kind(
        "unreadable",
        409,
        "The action could not be read",
        "The stage could not read what the gateway wrote; tell the operator.",
    ),
    Kind("unknown-case", 404, "No such case", "The case does not exist or lies in a queue that is not yours."),
    Kind(
        "body-too-large",
        413,
        "Body too large",
        "The body, as sent or decompressed, is over the limit. Lines before the cut were taken.",
    ),
    Kind("line-too-long", 413, "Line too long", "One line of the batch is over the limit; other lines were taken."),
    Kind("too-many-lines", 413, "Too many lines", "Send the lines from here on in another batch."),
    Kind(
        "unsupported-media-type",
        415,
        "Unsupported media type",
        "`application/json` for one signal, `application/x-ndjson` for a batch; gzip only for a batch.",
    ),
    Kind("invalid-request", 422, "The request is not valid", "`errors` names each place and what is wrong there."),
    Kind(
        "invalid-signal",
        422,
        "The signal is not valid",
        "`errors` names each place and what is wrong there. Nothing was taken.",
    ),
    Kind(
        "invalid-encoding",
        422,
        "The compressed body is broken",
        "It is not gzip, it ends early, or it has too many members. Lines before the break were taken.",
    ),
    Kind("too-deep", 422, "JSON nested too deep", "No valid body is nested as deep."),
    Kind(
        "reference-missing",
        422,
        "A reference is missing",
        "Give the signal your own `reference` or send an `Idempotency-Key`; in a batch every line needs a `reference`.",
    ),
    Kind(
        "reference-reused",
        422,
        "The reference was used for another body",
        "A reference or `Idempotency-Key` names one body for ever. Use a new one.",
    ),
    Kind(
        "rate-limited",
        429,
        "Too many requests",
        "From this address, or from all together. Nothing was taken; come back after `Retry-After`.",
    ),
    Kind(
        "too-many-streams",
        429,
        "Too many live connections",
        "An officer may hold a bounded number of live connections, an inbox a bounded number that wait. Close one; a browser's "
        "tabs count each.",
    ),
    Kind(
        "internal",
        500,
        "Unexpected error",
        "A fault of ours. Send the same request with the same reference again: nothing counts twice.",
    ),
    Kind(
        "log-unavailable",
        503,
        "The log is away",
        "Whether the signal is in the log is not known. Send it with the same reference again: nothing counts twice.",
    ),
    Kind("state-unavailable", 503, "Redis is away", "Nothing was taken. Send it again with the same reference."),
    Kind(
        "overloaded",
        503,
        "Too far behind",
        "The stages, or the log, are behind by more than the limit. Send it again after `Retry-After`.",
    ),
    Kind(
        "rebuilding",
        503,
        "The views are being rebuilt",
        "Signals are accepted meanwhile; ask again after `Retry-After`.",
    ),
    Kind("keys-unavailable", 503, "The token keys are away", "The JWKS could not be read. Ask again after `Retry-After`."),
)

PROBLEMS: dict[str, Kind] = {kind.slug: kind for kind in _TABLE}


class Problem(Exception):
    """Raised anywhere below a route; answered as problem details. `more` are extension members."""

    def __init__(self, slug: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(f"{slug}: {detail}")
        self.kind = PROBLEMS[slug]
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def body(self) -> dict[str, Any]:
        """The members of RFC 9457, then the extensions."""
        kind = self.kind
        return {
            "type": TYPE_PREFIX + kind.slug,
            "title": kind.title,
            "status": kind.status,
            "detail": self.detail,
            **self.more,
        }

    def response(self) -> Response:
        return Response(orjson.dumps(self.body()), self.kind.status, self.headers, MEDIA_TYPE)


def later(slug: str, detail: str, retry_after_s: int, **more: Any) -> Problem:
    """A problem that goes away by itself: with Retry-After in whole seconds."""
    return Problem(slug, detail, headers={"Retry-After": str(retry_after_s)}, **more)


def of_refused(refusal: Refused) -> Problem:
    """A body that cannot be read, with its faults as `errors` where it has places."""
    if refusal.faults is None:
        return Problem(refusal.slug, refusal.detail)
    return Problem(refusal.slug, refusal.detail, errors=[fault._asdict() for fault in refusal.faults])


def render() -> str:
    """docs/errors.md."""
    lines = [
        "# Errors",
        "",
        "Every error is `application/problem+json` (RFC 9457). `type` is `"
        + TYPE_PREFIX
        + "` and the slug below. The table is made by",
        "`python -m gateway.problems > docs/errors.md` from `gateway/problems.py`; a test compares them.",
        "",
        "| Slug | Status | Title | What it means and what to do |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{kind.slug}` | {kind.status} | {kind.title} | {kind.meaning} |" for kind in _TABLE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
