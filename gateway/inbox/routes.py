"""Routes of recipients: notices by long poll or live, acknowledgement, redelivery. And for officers: the proof of delivery of a
case.

Invariant: an institution reads its own inbox, an officer those of his queues; another's does not exist. Notices before the cursor
are marked as received in the log before the response.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from gateway.http.endpoint import Call, Endpoint
from gateway.http.request_body import media_type, read_body
from gateway.http.responses import dumped
from gateway.inbox import cursor as cursors
from gateway.inbox.responses import DeliveriesOut, InboxOut, ItemOut, case_notification_out, item_out
from gateway.inbox.stream import InboxStream
from gateway.metrics import METRICS
from gateway.problems import Problem, of_refused
from gateway.security.audit import accessed
from gateway.security.auth import Caller, Role
from gateway.security.rate_limits import REPLAYS, within
from gateway.signals.parsing import validated
from schemas.common import Exact, Name, PartyId, is_unit
from schemas.notifications.delivery import Way
from schemas.parsing import Model, refused
from stream_processors.views.inbox import Inbox

RECIPIENTS = frozenset({Role.INSTITUTION, Role.OFFICER})
OFFICERS = frozenset({Role.OFFICER})
MOST_WAIT_S, MOST_ITEMS = 30, 200


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inbox: PartyId | None = None


class InboxQuery(_Query):
    """`after`: the `next_cursor` of the last response; earlier notices count as received. `wait_s`: how long to wait if there is
    nothing. `inbox`: for officers, one of their queues; optional if the token has one."""

    after: str | None = Field(default=None, max_length=64)
    wait_s: float = Field(default=0, ge=0, le=MOST_WAIT_S)
    limit: int = Field(default=50, ge=1, le=MOST_ITEMS)


class StreamQuery(_Query):
    """`after`: the start, if there is no `Last-Event-ID`. `inbox` as for the list."""

    after: str | None = Field(default=None, max_length=64)


class OneQuery(_Query):
    """`inbox` as for the list."""


class DeliveriesQuery(BaseModel):
    """`case_id`: the case whose notices to list."""

    model_config = ConfigDict(extra="forbid")
    case: Name


class RedeliverIn(Exact):
    """`after`: a cursor; later notices are redelivered. Default: all retained notices. `limit`: the maximum."""

    model_config = ConfigDict(extra="forbid")
    after: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=MOST_ITEMS, ge=1, le=MOST_ITEMS)


async def get_inbox(call: Call) -> Response:
    """Returns your notices, the oldest first: at once if there are any after `after`, else when the first arrives. A request with
    `next_cursor` confirms the last page, which is then marked as received once."""
    query = _query(call, InboxQuery)
    recipient, desk = inbox_of(call.caller, query.inbox), call.services.inboxes
    after = await desk.place(recipient, query.after)
    if after is None:
        raise cursors.refused("/after")
    await desk.past(call.caller, recipient, after, "poll")
    wait_s = min(query.wait_s, call.services.settings.inbox_wait_most_s)
    page = await desk.read(call.caller, recipient, after=after, limit=query.limit, wait_s=wait_s)
    return dumped(_render_inbox(call, recipient, page, query.after))


async def get_inbox_stream(call: Call) -> InboxStream:
    """Streams notices as server-sent events: `notification` (an item; its id is its cursor), `bye`. `Last-Event-ID` resumes and
    confirms all earlier notices. An id of another inbox is ignored, and the stream begins with all retained notices. A
    redelivered notice has no id."""
    query, services = _query(call, StreamQuery), call.services
    recipient, desk = inbox_of(call.caller, query.inbox), services.inboxes
    last = call.request.headers.get("last-event-id")
    after = await desk.place(recipient, last or query.after)
    if after is None and last is None:
        raise cursors.refused("/after")
    if after is not None:
        await desk.past(call.caller, recipient, after, "stream")
    accessed(call.caller, "inbox-stream", inbox=recipient)
    return InboxStream(
        call.caller,
        services.settings,
        ear=await services.bell.join(recipient, call.caller),
        bell=services.bell,
        desk=desk,
        views=services.views,
        sealer=services.sealer,
        after=cursors.START if after is None else after,
    )


async def get_notification(call: Call) -> Response:
    """Returns one notice, as a webhook's `link` names it. Reading marks nothing: acknowledge it when your system has it."""
    recipient = inbox_of(call.caller, _query(call, OneQuery).inbox)
    entry = await call.services.inboxes.notice(recipient, call.request.path_params["notification_id"])
    accessed(call.caller, "inbox", inbox=recipient, found=1)
    return dumped(item_out(entry, None, call.services.sealer))


async def post_acknowledge(call: Call) -> Response:
    """Confirms that your system has the notice and will act. The log has the confirmation before the response; a repeated one
    returns the first time."""
    recipient = inbox_of(call.caller, _query(call, OneQuery).inbox)
    entry = await call.services.inboxes.acknowledge(call.caller, recipient, call.request.path_params["notification_id"])
    return dumped(item_out(entry, None, call.services.sealer))


async def post_redeliver_one(call: Call) -> Response:
    """Redelivers a notice: in this response, on live connections, and to a webhook, even if it was parked."""
    recipient = inbox_of(call.caller, _query(call, OneQuery).inbox)
    await _may_replay(call, recipient)
    entry = await call.services.inboxes.replay(call.caller, recipient, call.request.path_params["notification_id"])
    accessed(call.caller, "inbox", inbox=recipient, found=1)
    return dumped(item_out(entry, None, call.services.sealer))


async def post_redeliver(call: Call) -> Response:
    """Redelivers all notices after a cursor, as for one."""
    services = call.services
    recipient = inbox_of(call.caller, _query(call, OneQuery).inbox)
    raw = await read_body(call.request, services.settings.body_limit_bytes, services.settings.body_idle_s)
    if raw:
        media_type(call.request, "application/json")
    body = validated(RedeliverIn, raw or b"{}", "invalid-request", services.settings.json_depth_limit)
    after = await services.inboxes.place(recipient, body.after)
    if after is None:
        raise cursors.refused("/after")
    await _may_replay(call, recipient)
    page = await services.inboxes.replay_from(call.caller, recipient, after, body.limit)
    return dumped(_render_inbox(call, recipient, page, body.after, "api"))


async def get_deliveries(call: Call) -> Response:
    """Lists the notices of a case in your queues with recipients and proof: sent, received, acknowledged, parked, redelivered."""
    query = _query(call, DeliveriesQuery)
    case = await call.services.views.case(query.case)
    if case is None or not call.caller.may_work_on(case.queue):
        raise Problem("unknown-case", "the case does not exist in your queues")
    notices = await call.services.views.of_case(case.case_id)
    accessed(call.caller, "deliveries", case=case.case_id, found=len(notices))
    return dumped(DeliveriesOut(case_id=case.case_id, deliveries=[case_notification_out(notice) for notice in notices]))


def inbox_of(caller: Caller, named: str | None) -> str:
    """The recipient of the inbox: the institution itself; for an officer the named queue, or the only one of the token."""
    if caller.role is Role.INSTITUTION:
        if named not in (None, caller.subject):
            raise Problem("forbidden", "you may read your own inbox only")
        return caller.subject
    if named is None:
        if len(caller.queues) == 1 and not caller.queues[0].endswith("*"):
            return caller.queues[0]
        detail = "name one of your queues"
        raise Problem("invalid-request", detail, errors=[{"pointer": "/inbox", "detail": detail}])
    if not caller.may_work_on(named) or not is_unit(named):  # `*` means every unit, and no institution
        raise Problem("forbidden", "this inbox belongs to none of your queues")
    return named


async def _may_replay(call: Call, recipient: str) -> None:
    detail = "you requested redelivery too often; the inbox contains every notice"
    await within(call.services.rates, "replays", recipient, REPLAYS, detail)


def _render_inbox(call: Call, recipient: str, page: Inbox, after: str | None, way: Way = "poll") -> InboxOut:
    services = call.services
    cursors_ = [services.inboxes.cursor(recipient, page.log, entry.offset) for entry in page.entries]
    items: list[ItemOut] = [
        item_out(entry, cursor, services.sealer) for entry, cursor in zip(page.entries, cursors_, strict=True)
    ]
    if items:
        accessed(call.caller, "inbox", inbox=recipient, found=len(items))
        METRICS.inbox_notices.labels(way).inc(len(items))
    return InboxOut(inbox=recipient, items=items, next_cursor=cursors_[-1] if items else after, has_more=page.more)


def _query(call: Call, model: type[Model]) -> Model:
    try:
        return model.model_validate(dict(call.request.query_params))
    except ValidationError as error:
        raise of_refused(refused(error, "invalid-request")) from None


_TROUBLE = ("invalid-request", "views-rebuilding", "state-unavailable")
_MARKING = (*_TROUBLE, "log-unavailable")
_REPLAYING = (*_MARKING, "rate-limited")
_WAITING = (*_MARKING, "too-many-streams", "overloaded")
ENDPOINTS = [
    Endpoint(
        "GET",
        "/v1/inbox",
        get_inbox,
        RECIPIENTS,
        "List notices (long poll)",
        waits=True,
        query=InboxQuery,
        answers={200: InboxOut},
        problems=_WAITING,
    ),
    Endpoint(
        "GET",
        "/v1/inbox/stream",
        get_inbox_stream,
        RECIPIENTS,
        "Stream notices",
        streams=True,
        query=StreamQuery,
        answers={200: ItemOut},
        answer_media="text/event-stream",
        takes=("Last-Event-ID",),
        problems=_WAITING,
    ),
    Endpoint(
        "GET",
        "/v1/inbox/{notification_id}",
        get_notification,
        RECIPIENTS,
        "One notice",
        query=OneQuery,
        answers={200: ItemOut},
        problems=_TROUBLE,
    ),
    Endpoint(
        "POST",
        "/v1/inbox/redeliver",
        post_redeliver,
        RECIPIENTS,
        "Redeliver the notices after a cursor",
        query=OneQuery,
        body=RedeliverIn,
        body_required=False,
        answers={200: InboxOut},
        problems=_REPLAYING,
    ),
    Endpoint(
        "POST",
        "/v1/inbox/{notification_id}/acknowledge",
        post_acknowledge,
        RECIPIENTS,
        "Acknowledge a notice",
        query=OneQuery,
        answers={200: ItemOut},
        problems=_MARKING,
    ),
    Endpoint(
        "POST",
        "/v1/inbox/{notification_id}/redeliver",
        post_redeliver_one,
        RECIPIENTS,
        "Redeliver a notice",
        query=OneQuery,
        answers={200: ItemOut},
        problems=_REPLAYING,
    ),
    Endpoint(
        "GET",
        "/v1/deliveries",
        get_deliveries,
        OFFICERS,
        "List the deliveries of a case",
        query=DeliveriesQuery,
        answers={200: DeliveriesOut},
        problems=("unknown-case", *_TROUBLE),
    ),
]
