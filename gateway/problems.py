"""Every error that the gateway answers, declared once (RFC 9457). `python -m gateway.problems` prints docs/reference/errors.md.

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
        "invalid-head",
        400,
        "Malformed request head",
        "Send HTTP/1.1 with one `Host`, and no header twice that may stand once. The connection ends.",
    ),
    Kind(
        "head-stalled",
        408,
        "The request did not come",
        "Address and headers took too long, and the connection ends. Send the request again.",
    ),
    Kind(
        "body-stalled",
        408,
        "The body stopped coming",
        "Nothing more of it came for too long. Of a batch the lines before were taken; send the others again.",
    ),
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
        "The state has no such move, or not for you; the detail and `moves` say which are open.",
    ),
    Kind(
        "unreadable",
        409,
        "The action could not be read",
        "The stage could not read what the gateway wrote; tell the operator.",
    ),
    Kind("unknown-account", 404, "No such account", "Neither a case of your unit nor an order of this one names the account."),
    Kind("unknown-order", 404, "No such order", "There is no such order in the case, or it is not yours to see."),
    Kind("unknown-task", 404, "No such task", "There is no such dissuasion task, or it was not asked of you."),
    Kind("unknown-objection", 404, "No such objection", "There is no such objection in the case, or it is not yours to see."),
    Kind(
        "no-case",
        409,
        "The signal has no case",
        "With `Retry-After`: its case is on the way. Without: none was opened for it, so there is nothing to record this in.",
    ),
    Kind("not-recipient", 403, "Not asked of you", "Only the institution or unit that an order or task went to may answer it."),
    Kind("not-offered", 409, "No such order in the policy", "The operator's policy does not offer orders of this kind."),
    Kind(
        "four-eyes",
        409,
        "A second person is needed",
        "Whoever asked for the order does not agree to it, nor lengthens it alone. Ask a colleague.",
    ),
    Kind(
        "order-incomplete",
        422,
        "The order lacks something",
        "What this kind of order needs is missing, or its answer would be due in the past; the detail says which.",
    ),
    Kind(
        "above-traced",
        409,
        "More than may be held",
        "Only what was traced and arrived may be held. Ask for less, or lift the rest.",
    ),
    Kind("already-held", 409, "The money is held already", "Name the order that holds it in `of` to take its place."),
    Kind("already-released", 409, "It is being released already", "A release of this order is under way."),
    Kind("not-held", 409, "So much is not held", "The detail says how much is held and not promised to anybody."),
    Kind(
        "cap-reached",
        409,
        "No further one is allowed",
        "The policy's most for one account, renewals included, or of renewals, is used up.",
    ),
    Kind("too-many-orders", 409, "Too many orders in the case", "Release or close others first, or split the case."),
    Kind("too-many-tasks", 409, "Too many tasks in the case", "End or call off others first."),
    Kind("too-many-measures", 409, "Too many measures in the case", "Tell the rest in an hour, or one measure for several."),
    Kind("too-many-objections", 409, "Too many objections in the case", "Decide the others first."),
    Kind("too-many-clocks", 409, "Too many clocks in the case", "Its duties find no clock; end others first, or split the case."),
    Kind(
        "orders-stand",
        409,
        "Something stands in the case",
        "Orders, tasks or objections that the detail names are not over: release, end or decide them first.",
    ),
    Kind("same-queue", 409, "It is in this queue", "The case is there already."),
    Kind("unknown-queue", 422, "No such queue", "The detail lists the queues that the policy knows."),
    Kind("note-required", 422, "A note is missing", "Say why, in `note`."),
    Kind("same-case", 422, "The same case", "A case is not merged into itself."),
    Kind("merged", 409, "The case was merged", "All of it is in the case that the detail names; go on there."),
    Kind("kept-apart", 409, "Leads are kept apart", "Leads of organized crime (Art. 17) are merged with such leads only."),
    Kind("other-queue", 409, "Another queue's case", "Only cases of one queue are merged; transfer one first."),
    Kind("other-way", 409, "The other way round", "Of two cases the one whose id is lower stays; merge that way."),
    Kind("unknown-signal", 422, "No such signal in the case", "The case does not list a signal that was named."),
    Kind("nothing-left", 409, "Nothing would be left", "Not every signal of a case can be split off it."),
    Kind("split-too-often", 409, "Split too often", "No more signals are split off this case."),
    Kind("not-verified", 409, "Not all was compared", "Compare the fields of `verify_fields`, then answer `verified`."),
    Kind("mismatch", 409, "A field differs", "It must not be stopped. Answer `mismatch` and name the fields."),
    Kind("reason-missing", 422, "A reason is missing", "Say why, in the member that the detail names."),
    Kind("answer-missing", 422, "The answer is missing", "A letter is carried out by its answer: send `text`."),
    Kind("amount-missing", 422, "The amount is missing", "Say in `amount_minor` how much was held or paid back."),
    Kind(
        "records-not-kept",
        422,
        "Records must be kept",
        "Of what is taken down records are kept (Art. 20): confirm it with `records_kept`.",
    ),
    Kind(
        "notice-running",
        409,
        "The public notice has not run its time",
        "What is returned pro rata is paid when the notice has ended; the detail says when that is.",
    ),
    Kind("expired", 409, "The order has ended", "It must not be carried out any more; lift what was held."),
    Kind(
        "impossible-time",
        422,
        "It cannot have been then",
        "`done_at` lies ahead, or before there was anything to do; the detail says between which times it can be. Correct it.",
    ),
    Kind("taken", 409, "Somebody works on this task", "The person is not called twice. It is everybody's again when given back."),
    Kind("attempt-missing", 422, "The attempt is missing", "Say who spoke to the person, how, and what came of it."),
    Kind("result-differs", 422, "Result and move differ", "A convinced person is a success, any other result a try."),
    Kind("nothing-to-object", 409, "Nothing stands", "Nothing that was executed in this case stands."),
    Kind("own-order", 409, "Your own order", "Whoever ordered what is objected to does not decide on it. Ask a colleague."),
    Kind("no-reasons", 422, "Reasons are missing", "A decision on an objection gives its reasons in writing."),
    Kind(
        "too-many-endpoints",
        409,
        "There are as many endpoints as there may be",
        "Take one away first: `DELETE /v1/webhooks/{endpoint_id}`.",
    ),
    Kind(
        "endpoint-exists",
        409,
        "This address is registered already",
        "`endpoint_id` tells as which. If the answer to its registration was lost, replace its secret.",
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
    Kind(
        "invalid-endpoint",
        422,
        "The endpoint is not valid",
        "`errors` names each place and what is wrong there. Nothing was registered.",
    ),
    Kind(
        "endpoint-refused",
        422,
        "The endpoint may not be called",
        "Its name has no address now, or one that is not public; the detail says which kind. It is asked for anew at every call.",
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
        "A reference or `Idempotency-Key` names one body: use a new one. The gateway remembers that for a day. "
        "Another body that comes later under a signal's old reference is accepted, becomes a `conflict`, and its status says so.",
    ),
    Kind(
        "rate-limited",
        429,
        "Too many requests",
        "From this sender, or from all together. Nothing was taken; come back after `Retry-After`.",
    ),
    Kind(
        "too-many-streams",
        429,
        "Too many live connections",
        "An officer may hold a bounded number of live connections, an inbox a bounded number that wait. Close one; a browser's "
        "tabs count each.",
    ),
    Kind("headers-too-large", 431, "Headers too large", "The address and the headers together are over the limit. Send fewer."),
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


def unwound(error: BaseException) -> None:
    """Forgets where an error that has its answer came from. Its traceback holds the frames, and a frame that holds the error is a
    ring with it: what the request brought, its body too, would stay until the collector comes by, hundreds of refusals later.
    What it was raised from can be a ValidationError, which holds a validator's own error and so its frames: in there the
    collector does not see, and a ring would stay for ever."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            left += (one.__cause__, one.__context__)
            one.__traceback__ = one.__cause__ = one.__context__ = None


def later(slug: str, detail: str, retry_after_s: int, **more: Any) -> Problem:
    """A problem that goes away by itself: with Retry-After in whole seconds."""
    return Problem(slug, detail, headers={"Retry-After": str(retry_after_s)}, **more)


def of_refused(refusal: Refused) -> Problem:
    """A body that cannot be read, with its faults as `errors` where it has places."""
    if refusal.faults is None:
        return Problem(refusal.slug, refusal.detail)
    return Problem(refusal.slug, refusal.detail, errors=[fault._asdict() for fault in refusal.faults])


def render() -> str:
    """docs/reference/errors.md."""
    lines = [
        "# Errors",
        "",
        "Every error is `application/problem+json` (RFC 9457). `type` is `"
        + TYPE_PREFIX
        + "` and the slug below. The table is made by",
        "`python -m gateway.problems > docs/reference/errors.md` from `gateway/problems.py`; a test compares them.",
        "",
        "| Slug | Status | Title | What it means and what to do |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{kind.slug}` | {kind.status} | {kind.title} | {kind.meaning} |" for kind in _TABLE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
