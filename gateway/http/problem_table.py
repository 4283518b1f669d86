"""Every error response of the gateway, declared once (RFC 9457).

`python -m gateway.http.problem_table` prints docs/reference/errors.md.

Invariant: every error response has one of these slugs, and none repeats a sender's values.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_PREFIX = "urn:liandong:problem:"


class Kind(NamedTuple):
    """`meaning` is for the docs: the cause and the remedy."""

    slug: str
    status: int
    title: str
    meaning: str


_TABLE = (
    Kind(
        "unauthenticated",
        401,
        "Authentication required",
        "Send `Authorization: Bearer <JWT>`. The detail explains why the token was rejected.",
    ),
    Kind("forbidden", 403, "Forbidden", "The token is valid, but its role or its queues do not permit this request."),
    Kind("not-found", 404, "Not found", "The resource does not exist, or you may not see it."),
    Kind("method-not-allowed", 405, "Method not allowed", "Use a method that the `Allow` header lists."),
    Kind(
        "invalid-head",
        400,
        "Malformed request head",
        "Send HTTP/1.1 with exactly one `Host`, and send single-value headers once. The gateway closes the connection.",
    ),
    Kind(
        "header-timeout",
        408,
        "Request header timeout",
        "Request line and headers took too long. The gateway closes the connection; send the request again.",
    ),
    Kind(
        "body-timeout",
        408,
        "Request body timeout",
        "The body stopped arriving. Earlier lines of a batch were accepted; send the others again.",
    ),
    Kind(
        "request-in-progress",
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
        "The lease of another officer has not expired. Take another case, or ask for a hand-over.",
    ),
    Kind("case-disposed", 409, "Case already disposed", "The next signal about its subject reopens the case."),
    Kind(
        "transition-not-allowed",
        409,
        "Not allowed in this state",
        "The state of the case forbids this action, or you may not act. `allowed_transitions` lists what is allowed.",
    ),
    Kind(
        "action-unreadable",
        409,
        "Action could not be read",
        "The stage could not read the gateway's record. Contact the operator.",
    ),
    Kind("unknown-account", 404, "Unknown account", "No case of your unit and no order of this case names the account."),
    Kind("unknown-order", 404, "Unknown order", "The case has no such order, or you may not see it."),
    Kind("unknown-dissuasion", 404, "Unknown dissuasion", "The dissuasion does not exist, or it was not addressed to you."),
    Kind("unknown-appeal", 404, "Unknown appeal", "The case has no such appeal, or you may not see it."),
    Kind(
        "signal-without-case",
        409,
        "Signal has no case",
        "With `Retry-After`: the case is being opened; retry. Without it: the signal opened no case to report on.",
    ),
    Kind(
        "not-recipient",
        403,
        "Not addressed to you",
        "Only the institution or unit that received the order or dissuasion may answer it.",
    ),
    Kind("order-kind-not-enabled", 409, "Order kind not enabled", "The operator's policy does not offer orders of this kind."),
    Kind(
        "second-approver-required",
        409,
        "Second approver required",
        "Dual approval (four-eyes): the person who requested the order may neither approve nor renew it alone. Ask a colleague.",
    ),
    Kind(
        "order-incomplete",
        422,
        "Order incomplete",
        "This kind of order requires a missing member, or its answer would be due in the past. The detail names the member.",
    ),
    Kind(
        "amount-exceeds-traced",
        409,
        "Amount exceeds the traced amount",
        "An order may hold only money that was traced and arrived. Order a smaller amount, or lift the rest.",
    ),
    Kind(
        "already-held",
        409,
        "Money already held",
        "Another order holds this money. To replace it, name that order in `related_order_id`.",
    ),
    Kind("already-released", 409, "Release already under way", "A release of this order is under way."),
    Kind(
        "amount-exceeds-held",
        409,
        "Amount exceeds the held balance",
        "The detail gives the amount that is held and not yet assigned.",
    ),
    Kind(
        "account-limit-reached",
        409,
        "Limit for this account reached",
        "The policy limits the orders for one account and their renewals, and the limit is reached.",
    ),
    Kind("too-many-orders", 409, "Too many orders in the case", "Release or close other orders first, or split the case."),
    Kind("too-many-dissuasions", 409, "Too many dissuasions in the case", "Finish or cancel other dissuasions first."),
    Kind(
        "too-many-measures",
        409,
        "Too many measures in the case",
        "Report the rest after an hour, or combine several into one measure.",
    ),
    Kind("too-many-appeals", 409, "Too many appeals in the case", "Wait until the others are decided."),
    Kind(
        "too-many-deadlines",
        409,
        "Too many deadlines in the case",
        "The case holds the maximum of running deadlines. Finish others first, or split the case.",
    ),
    Kind(
        "open-obligations",
        409,
        "Case has open obligations",
        "The detail names orders, dissuasions or appeals that are not finished. Release, finish or decide them first.",
    ),
    Kind("already-in-queue", 409, "Case already in this queue", "The case is already in the queue that you named."),
    Kind("unknown-queue", 422, "Unknown queue", "The policy has no such queue. The detail lists its queues."),
    Kind("note-required", 422, "Note required", "Send the reason in `note`."),
    Kind("same-case", 422, "Same case", "A case cannot be merged into itself."),
    Kind("case-merged", 409, "Case was merged", "The case was merged into the case that the detail names. Continue there."),
    Kind(
        "leads-not-mergeable",
        409,
        "Leads of organized crime are separate",
        "A case of leads of organized crime (Art. 17) can be merged with another such case only.",
    ),
    Kind("other-queue", 409, "Cases of different queues", "Only cases of one queue can be merged. Transfer one of them first."),
    Kind(
        "merge-direction",
        409,
        "Merge direction not allowed",
        "The case with the lower id absorbs the other one. Merge in that direction.",
    ),
    Kind("unknown-signal", 422, "Unknown signal", "The case does not list a signal that you named."),
    Kind("no-signal-left", 409, "No signal would be left", "At least one signal must stay in the case."),
    Kind("split-too-often", 409, "Split limit reached", "No more signals can be split off this case."),
    Kind("not-verified", 409, "Comparison incomplete", "Compare the fields in `verify_fields`, then answer with `verified`."),
    Kind(
        "fields-mismatch",
        409,
        "Fields do not match",
        "The payment must not be stopped. Answer with `mismatch` and name the fields.",
    ),
    Kind("reason-missing", 422, "Reason required", "Send the reason in the member that the detail names."),
    Kind("answer-missing", 422, "Answer required", "The answer carries out a letter. Send `text`."),
    Kind("amount-missing", 422, "Amount required", "Send the amount that was held or paid back in `amount_minor`."),
    Kind(
        "records-not-kept",
        422,
        "Records must be kept",
        "The recipient must keep the records of a takedown (Art. 20). Confirm it with `records_kept`.",
    ),
    Kind(
        "public-notice-running",
        409,
        "Public notice still running",
        "A pro rata return may be paid only after its public notice. The detail gives the end of the notice.",
    ),
    Kind("order-expired", 409, "Order has expired", "Do not carry out the order. Lift any hold that you placed for it."),
    Kind(
        "time-out-of-range",
        422,
        "Timestamp outside the permitted range",
        "`done_at` is in the future, or before the order, dissuasion or case existed. The detail gives the permitted range.",
    ),
    Kind(
        "dissuasion-taken",
        409,
        "Dissuasion already taken",
        "Another recipient works with this person, who must not be called twice. The dissuasion reopens if it is given back.",
    ),
    Kind(
        "attempt-missing", 422, "Attempt required", "Send who spoke to the person, through which channel, and with which result."
    ),
    Kind(
        "result-mismatch",
        422,
        "Result does not match the action",
        "Report a person who was convinced as a success, and any other result as an attempt.",
    ),
    Kind("nothing-to-appeal", 409, "Nothing to appeal", "No executed order or measure of this case is in force."),
    Kind(
        "conflict-of-interest",
        409,
        "Conflict of interest",
        "An officer may not decide an appeal against an order that he or she gave. Ask a colleague.",
    ),
    Kind("reasons-missing", 422, "Reasons required", "A decision on an appeal must state its reasons in writing."),
    Kind("too-many-endpoints", 409, "Endpoint limit reached", "Remove an endpoint first: `DELETE /v1/webhooks/{endpoint_id}`."),
    Kind(
        "endpoint-exists",
        409,
        "Endpoint already registered",
        "`endpoint_id` names the endpoint. If you lost the response to its registration, replace its secret.",
    ),
    Kind("unknown-case", 404, "Unknown case", "The case does not exist, or it is in a queue that is not yours."),
    Kind(
        "body-too-large",
        413,
        "Body too large",
        "The body exceeds the limit, as sent or decompressed. Lines before the cut were accepted.",
    ),
    Kind("line-too-long", 413, "Line too long", "One line of the batch exceeds the limit. The other lines were accepted."),
    Kind("too-many-lines", 413, "Too many lines", "The batch has too many lines. Send the lines from here on in another batch."),
    Kind(
        "unsupported-media-type",
        415,
        "Unsupported media type",
        "Send `application/json` for one signal or `application/x-ndjson` for a batch. Only a batch may be gzip-compressed.",
    ),
    Kind("invalid-request", 422, "Invalid request", "`errors` lists each invalid member and its fault."),
    Kind("invalid-signal", 422, "Invalid signal", "`errors` lists each invalid member and its fault. Nothing was accepted."),
    Kind(
        "invalid-encoding",
        422,
        "Invalid compressed body",
        "The body is not gzip, is truncated, or has too many gzip members. The gateway accepted the lines before the break.",
    ),
    Kind("invalid-endpoint", 422, "Invalid endpoint", "`errors` lists each invalid member. Nothing was registered."),
    Kind(
        "endpoint-refused",
        422,
        "Endpoint address not allowed",
        "The name has no address now, or one that is not public; the detail gives the kind. Each call resolves it again.",
    ),
    Kind("json-too-deep", 422, "JSON nested too deeply", "The JSON of the body is nested more deeply than any valid body."),
    Kind(
        "reference-missing",
        422,
        "Reference required",
        "Give the signal your own `reference`, or send an `Idempotency-Key`. In a batch every line requires a `reference`.",
    ),
    Kind(
        "reference-reused",
        422,
        "Reference used for another body",
        "A reference or `Idempotency-Key` names one body; use a new one. The gateway remembers it for a day. Later "
        "it accepts another body under an old reference, the signal becomes a `conflict`, and its status shows it.",
    ),
    Kind(
        "rate-limited",
        429,
        "Too many requests",
        "You, or all senders together, sent too many requests. Nothing was accepted; retry after `Retry-After`.",
    ),
    Kind(
        "too-many-streams",
        429,
        "Too many live connections",
        "An officer has a limit of live connections, and an inbox a limit of waiting requests. Close one; each "
        "browser tab counts.",
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
        "The gateway failed. Send the same request with the same reference again; nothing counts twice.",
    ),
    Kind(
        "log-unavailable",
        503,
        "Event log unavailable",
        "The gateway does not know whether the log has the signal. Send it again with the same reference; nothing counts twice.",
    ),
    Kind("state-unavailable", 503, "State store unavailable", "Nothing was accepted. Retry with the same reference."),
    Kind(
        "overloaded",
        503,
        "Service overloaded",
        "The stages or the log are further behind than the limit. Send the request again after `Retry-After`.",
    ),
    Kind("views-rebuilding", 503, "Views are being rebuilt", "Signals are accepted meanwhile. Retry after `Retry-After`."),
    Kind("keys-unavailable", 503, "Token keys unavailable", "The gateway could not read the JWKS. Retry after `Retry-After`."),
)

PROBLEMS: dict[str, Kind] = {kind.slug: kind for kind in _TABLE}


def render() -> str:
    """Renders docs/reference/errors.md."""
    lines = [
        "# Errors",
        "",
        "Every error is `application/problem+json` (RFC 9457). `type` is `" + TYPE_PREFIX + "` and the slug below. Programs go",
        "by `status` and `type`; title and detail are for people.",
        "",
        "`python -m gateway.http.problem_table > docs/reference/errors.md` writes this page; a test compares it with the table.",
        "",
        "| Slug | Status | Title | What it means and what to do |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{kind.slug}` | {kind.status} | {kind.title} | {kind.meaning} |" for kind in _TABLE]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render(), end="")
