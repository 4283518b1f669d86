"""Every error that the gateway answers, declared once (RFC 9457). `python -m gateway.problems` prints docs/reference/errors.md.

Invariant: no answer of the gateway has an error status without one of these slugs, and none repeats a sender's values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response

from schemas.parsing import Refused

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
        "Authentication required",
        "Send `Authorization: Bearer <JWT>`. The detail says what is wrong with the token that was sent.",
    ),
    Kind(
        "forbidden",
        403,
        "Forbidden for this role or queue",
        "The token is valid, but its role or its queues do not cover this request.",
    ),
    Kind("not-found", 404, "Not found", "The resource does not exist, or you may not see it."),
    Kind("method-not-allowed", 405, "Method not allowed", "Use a method that the `Allow` header lists."),
    Kind(
        "invalid-head",
        400,
        "Malformed request head",
        "Send HTTP/1.1 with one `Host`, and repeat no header that may occur once only. The connection is closed.",
    ),
    Kind(
        "head-stalled",
        408,
        "Request header timeout",
        "Request line and headers took too long; the connection is closed. Send the request again.",
    ),
    Kind(
        "body-stalled",
        408,
        "Request body timeout",
        "The body stopped arriving. Earlier lines of a batch were accepted; send the others again.",
    ),
    Kind(
        "in-flight",
        409,
        "Reference is being processed",
        "Another request with this reference is still running. Retry after `Retry-After`.",
    ),
    Kind(
        "stale-revision",
        409,
        "Case has changed",
        "The request names an older revision of the case. Read the case again; `revision` is the current one.",
    ),
    Kind("not-holder", 409, "You do not hold the case", "Only the officer who holds the case may do this. Claim it first."),
    Kind(
        "held-by-other",
        409,
        "Case held by another officer",
        "The other officer's lease is still running. Take another case, or ask for a hand-over.",
    ),
    Kind("disposed", 409, "Case already disposed", "The next signal about its subject opens the case again."),
    Kind(
        "not-allowed",
        409,
        "Not allowed in this state",
        "The case does not allow this step now, or not to you. The detail and `moves` list the steps that are open.",
    ),
    Kind("unreadable", 409, "Action could not be read", "The stage could not read what the gateway wrote. Tell the operator."),
    Kind("unknown-account", 404, "Unknown account", "Neither a case of your unit nor an order of this case names the account."),
    Kind("unknown-order", 404, "Unknown order", "The case has no such order, or you may not see it."),
    Kind("unknown-task", 404, "Unknown dissuasion task", "There is no such dissuasion task, or it was not addressed to you."),
    Kind("unknown-objection", 404, "Unknown appeal", "The case has no such appeal, or you may not see it."),
    Kind(
        "no-case",
        409,
        "Signal has no case",
        "With `Retry-After`: the case is being opened. Without it: the signal opened no case, so nothing can be recorded there.",
    ),
    Kind(
        "not-recipient",
        403,
        "Not addressed to you",
        "Only the institution or unit that received the order or task may answer it.",
    ),
    Kind("not-offered", 409, "Order kind not enabled", "The operator's policy does not offer orders of this kind."),
    Kind(
        "four-eyes",
        409,
        "Second approver required",
        "The person who asked for the order may neither approve nor renew it alone. Ask a colleague (four-eyes).",
    ),
    Kind(
        "order-incomplete",
        422,
        "Order incomplete",
        "This kind of order needs a member that is missing, or its answer would be due in the past. The detail names it.",
    ),
    Kind(
        "above-traced",
        409,
        "Amount exceeds the traced amount",
        "Only money that was traced and arrived may be held. Ask for less, or lift the rest.",
    ),
    Kind("already-held", 409, "Money already held", "Name the order that holds the money in `of` to replace it."),
    Kind("already-released", 409, "Release already under way", "A release of this order is under way."),
    Kind(
        "not-held",
        409,
        "Amount exceeds the held balance",
        "The detail gives the amount that is held and not promised to anybody.",
    ),
    Kind(
        "cap-reached",
        409,
        "Limit for this account reached",
        "The policy's limit of orders for one account, or of renewals, is reached.",
    ),
    Kind("too-many-orders", 409, "Too many orders in the case", "Release or close other orders first, or split the case."),
    Kind("too-many-tasks", 409, "Too many dissuasion tasks in the case", "Finish or cancel other tasks first."),
    Kind(
        "too-many-measures",
        409,
        "Too many measures in the case",
        "Report the rest in an hour, or report several as one measure.",
    ),
    Kind("too-many-objections", 409, "Too many appeals in the case", "Wait until the others are decided."),
    Kind(
        "too-many-clocks",
        409,
        "Too many deadlines in the case",
        "The case has no room for another deadline. Finish others first, or split the case.",
    ),
    Kind(
        "orders-stand",
        409,
        "Case has open obligations",
        "The orders, tasks or appeals that the detail names are not finished. Release, finish or decide them first.",
    ),
    Kind("same-queue", 409, "Case already in this queue", "The case is in the queue that you named."),
    Kind("unknown-queue", 422, "Unknown queue", "The detail lists the queues of the policy."),
    Kind("note-required", 422, "Note required", "Give the reason in `note`."),
    Kind("same-case", 422, "Same case", "A case cannot be merged into itself."),
    Kind("merged", 409, "Case was merged", "The detail names the case that took over all of it. Continue there."),
    Kind(
        "kept-apart",
        409,
        "Leads are kept apart",
        "Leads of organized crime (Art. 17) can be merged with other such leads only.",
    ),
    Kind("other-queue", 409, "Cases of different queues", "Only cases of one queue can be merged. Transfer one of them first."),
    Kind(
        "other-way",
        409,
        "Merge direction not allowed",
        "The case with the lower id takes over the other one. Merge in that direction.",
    ),
    Kind("unknown-signal", 422, "Unknown signal", "The case does not list a signal that you named."),
    Kind("nothing-left", 409, "No signal would be left", "At least one signal must stay in the case."),
    Kind("split-too-often", 409, "Split limit reached", "No more signals can be split off this case."),
    Kind("not-verified", 409, "Comparison incomplete", "Compare the fields of `verify_fields`, then answer `verified`."),
    Kind("mismatch", 409, "Fields do not match", "The payment must not be stopped. Answer `mismatch` and name the fields."),
    Kind("reason-missing", 422, "Reason required", "Give the reason in the member that the detail names."),
    Kind("answer-missing", 422, "Answer required", "A letter is carried out by its answer: send `text`."),
    Kind("amount-missing", 422, "Amount required", "Give the amount that was held or paid back in `amount_minor`."),
    Kind(
        "records-not-kept",
        422,
        "Records must be kept",
        "Records of a takedown must be kept (Art. 20). Confirm it with `records_kept`.",
    ),
    Kind(
        "notice-running",
        409,
        "Public notice still running",
        "A return pro rata is paid after its public notice. The detail gives the end of the notice.",
    ),
    Kind("expired", 409, "Order has expired", "The order must not be carried out any more. Lift what was held."),
    Kind(
        "impossible-time",
        422,
        "Timestamp outside the permitted range",
        "`done_at` lies ahead, or before there was anything to do. The detail gives the permitted range.",
    ),
    Kind(
        "taken",
        409,
        "Task already taken",
        "Somebody else works with this person, who must not be called twice. The task is open again when it is given back.",
    ),
    Kind(
        "attempt-missing",
        422,
        "Attempt required",
        "Say who spoke to the person, through which channel, and with which result.",
    ),
    Kind(
        "result-differs",
        422,
        "Result does not match the action",
        "A person who was convinced is a success; any other result is an attempt.",
    ),
    Kind("nothing-to-object", 409, "Nothing to appeal", "No executed order or measure of this case is in force."),
    Kind(
        "own-order",
        409,
        "Conflict of interest",
        "An officer may not decide an appeal against an order that he or she gave. Ask a colleague.",
    ),
    Kind("no-reasons", 422, "Reasons required", "A decision on an appeal gives its reasons in writing."),
    Kind("too-many-endpoints", 409, "Endpoint limit reached", "Remove an endpoint first: `DELETE /v1/webhooks/{endpoint_id}`."),
    Kind(
        "endpoint-exists",
        409,
        "Endpoint already registered",
        "`endpoint_id` names it. If the response to its registration was lost, replace its secret.",
    ),
    Kind("unknown-case", 404, "Unknown case", "The case does not exist or lies in a queue that is not yours."),
    Kind(
        "body-too-large",
        413,
        "Body too large",
        "The body, as sent or decompressed, exceeds the limit. Lines before the cut were accepted.",
    ),
    Kind("line-too-long", 413, "Line too long", "One line of the batch exceeds the limit. Other lines were accepted."),
    Kind("too-many-lines", 413, "Too many lines", "Send the lines from here on in another batch."),
    Kind(
        "unsupported-media-type",
        415,
        "Unsupported media type",
        "Send `application/json` for one signal, `application/x-ndjson` for a batch; gzip for a batch only.",
    ),
    Kind("invalid-request", 422, "Invalid request", "`errors` lists each place and its fault."),
    Kind("invalid-signal", 422, "Invalid signal", "`errors` lists each place and its fault. Nothing was accepted."),
    Kind(
        "invalid-encoding",
        422,
        "Invalid compressed body",
        "The body is not gzip, ends early, or has too many members. Lines before the break were accepted.",
    ),
    Kind("invalid-endpoint", 422, "Invalid endpoint", "`errors` lists each place and its fault. Nothing was registered."),
    Kind(
        "endpoint-refused",
        422,
        "Endpoint address not allowed",
        "The name has no address now, or one that is not public; the detail says which kind. It is resolved anew for every call.",
    ),
    Kind("too-deep", 422, "JSON nested too deeply", "No valid body is nested this deeply."),
    Kind(
        "reference-missing",
        422,
        "Reference required",
        "Give the signal your own `reference`, or send an `Idempotency-Key`. In a batch every line needs a `reference`.",
    ),
    Kind(
        "reference-reused",
        422,
        "Reference used for another body",
        "A reference or `Idempotency-Key` names one body: use a new one. The gateway remembers it for a day. Another "
        "body that comes later under an old reference is accepted, becomes a `conflict`, and its status says so.",
    ),
    Kind(
        "rate-limited",
        429,
        "Too many requests",
        "You, or all senders together, sent too many. Nothing was accepted; retry after `Retry-After`.",
    ),
    Kind(
        "too-many-streams",
        429,
        "Too many live connections",
        "The live connections of an officer and the waiting requests of an inbox are limited. Close one; each browser "
        "tab counts.",
    ),
    Kind(
        "headers-too-large",
        431,
        "Headers too large",
        "Request line and headers together exceed the limit. Send fewer or shorter headers.",
    ),
    Kind(
        "internal",
        500,
        "Internal error",
        "The fault is ours. Send the same request with the same reference again: nothing counts twice.",
    ),
    Kind(
        "log-unavailable",
        503,
        "Event log unavailable",
        "It is not known whether the signal is in the log. Send it with the same reference again: nothing counts twice.",
    ),
    Kind("state-unavailable", 503, "State store unavailable", "Nothing was accepted. Send it again with the same reference."),
    Kind(
        "overloaded",
        503,
        "Service overloaded",
        "The stages or the log are behind by more than the limit. Send it again after `Retry-After`.",
    ),
    Kind("rebuilding", 503, "Views are being rebuilt", "Signals are accepted meanwhile. Ask again after `Retry-After`."),
    Kind("keys-unavailable", 503, "Token keys unavailable", "The JWKS could not be read. Ask again after `Retry-After`."),
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
    visited: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        raised = pending.pop()
        if raised is not None and id(raised) not in visited:
            visited.add(id(raised))
            pending += (raised.__cause__, raised.__context__)
            raised.__traceback__ = raised.__cause__ = raised.__context__ = None


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
        "Every error is `application/problem+json` (RFC 9457). `type` is `" + TYPE_PREFIX + "` and the slug below. Programs go",
        "by `status` and `type`; title and detail are for people.",
        "",
        "`python -m gateway.problems > docs/reference/errors.md` writes this page; a test compares it with the table.",
        "",
        "| Slug | Status | Title | What it means and what to do |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{kind.slug}` | {kind.status} | {kind.title} | {kind.meaning} |" for kind in _TABLE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
