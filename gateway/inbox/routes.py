"""Routes of recipients: notices by long poll or live, acknowledgement, redelivery. And for officers: the proof of delivery of a
case.

Invariant: an institution reads its own inbox, an officer those of his queues; another's does not exist. Notices before the cursor
are marked as received in the log before the response.
"""

from __future__ import annotations

from pydantic import Field
from starlette.responses import Response

from gateway.http.call import Call
from gateway.http.caller import Caller, Role
from gateway.http.endpoint import Endpoint
from gateway.http.pagination import refuse_cursor
from gateway.http.problem_sets import MARKING, QUERY
from gateway.http.problems import Problem
from gateway.http.request_body import RequestBody, RequestQuery, read_json, read_query
from gateway.http.responses import dumped
from gateway.http.roles import BOTH, OFFICERS
from gateway.inbox.responses import DeliveriesOut, InboxOut, ItemOut, case_notification_out, item_out
from gateway.inbox.service import START, InboxService
from gateway.inbox.stream import InboxStream
from gateway.security.audit import accessed
from gateway.settings import GatewaySettings
from schemas.common import Name, PartyId, is_unit
from schemas.notifications.delivery import Way
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.views.inbox import Inbox

MOST_WAIT_S, MOST_ITEMS = 30, 200
_NOT_GIVEN = "the cursor does not belong to this inbox; leave it out to read the inbox from its start"


class _Query(RequestQuery):
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


class DeliveriesQuery(RequestQuery):
    """`case_id`: the case whose notices to list."""

    case: Name


class RedeliverIn(RequestBody):
    """`after`: a cursor; later notices are redelivered. Default: all retained notices. `limit`: the maximum."""

    after: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=MOST_ITEMS, ge=1, le=MOST_ITEMS)


async def get_inbox(call: Call) -> Response:
    """Returns your notices, the oldest first: at once if there are any after `after`, else when the first arrives. A request with
    `next_cursor` confirms the last page, which is then marked as received once."""
    query = read_query(call, InboxQuery)
    recipient, service = inbox_of(call.caller, query.inbox), call.find_service(InboxService)
    after = await service.place(recipient, query.after)
    if after is None:
        raise refuse_cursor("/after", _NOT_GIVEN)
    await service.past(call.caller, recipient, after, "poll")
    wait_s = min(query.wait_s, call.find_service(GatewaySettings).inbox_wait_most_s)
    page = await service.read(call.caller, recipient, after=after, limit=query.limit, wait_s=wait_s)
    return dumped(_render_inbox(call, recipient, page, query.after))


async def get_inbox_stream(call: Call) -> InboxStream:
    """Streams notices as server-sent events: `notification` (an item; its id is its cursor), `bye`. `Last-Event-ID` resumes and
    confirms all earlier notices. An id of another inbox is ignored, and the stream begins with all retained notices. A
    redelivered notice has no id."""
    query, services = read_query(call, StreamQuery), call.services
    recipient, service = inbox_of(call.caller, query.inbox), call.find_service(InboxService)
    last = call.request.headers.get("last-event-id")
    after = await service.place(recipient, last or query.after)
    if after is None and last is None:
        raise refuse_cursor("/after", _NOT_GIVEN)
    if after is not None:
        await service.past(call.caller, recipient, after, "stream")
    accessed(call.caller, "inbox-stream", inbox=recipient)
    return InboxStream(
        call.caller,
        call.find_service(GatewaySettings),
        waiter=await service.notifier.join(recipient, call.caller),
        service=service,
        sealer=services.sealer,
        after=START if after is None else after,
    )


async def get_notification(call: Call) -> Response:
    """Returns one notice, as a webhook's `link` names it. Reading marks nothing: acknowledge it when your system has it."""
    recipient = inbox_of(call.caller, read_query(call, OneQuery).inbox)
    entry = await call.find_service(InboxService).notice(recipient, call.request.path_params["notification_id"])
    accessed(call.caller, "inbox", inbox=recipient, found=1)
    return dumped(item_out(entry, None, call.services.sealer))


async def post_acknowledge(call: Call) -> Response:
    """Confirms that your system has the notice and will act. The log has the confirmation before the response; a repeated one
    returns the first time."""
    recipient = inbox_of(call.caller, read_query(call, OneQuery).inbox)
    entry = await call.find_service(InboxService).acknowledge(call.caller, recipient, call.request.path_params["notification_id"])
    return dumped(item_out(entry, None, call.services.sealer))


async def post_redeliver_one(call: Call) -> Response:
    """Redelivers a notice: in this response, on live connections, and to a webhook, even if it was parked."""
    recipient = inbox_of(call.caller, read_query(call, OneQuery).inbox)
    service = call.find_service(InboxService)
    await service.may_replay(recipient)
    entry = await service.replay(call.caller, recipient, call.request.path_params["notification_id"])
    accessed(call.caller, "inbox", inbox=recipient, found=1)
    return dumped(item_out(entry, None, call.services.sealer))


async def post_redeliver(call: Call) -> Response:
    """Redelivers all notices after a cursor, as for one."""
    recipient = inbox_of(call.caller, read_query(call, OneQuery).inbox)
    body = await read_json(call, RedeliverIn)
    service = call.find_service(InboxService)
    after = await service.place(recipient, body.after)
    if after is None:
        raise refuse_cursor("/after", _NOT_GIVEN)
    await service.may_replay(recipient)
    page = await service.replay_from(call.caller, recipient, after, body.limit)
    return dumped(_render_inbox(call, recipient, page, body.after, "api"))


async def get_deliveries(call: Call) -> Response:
    """Lists the notices of a case in your queues with recipients and proof: sent, received, acknowledged, parked, redelivered."""
    query = read_query(call, DeliveriesQuery)
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


def _render_inbox(call: Call, recipient: str, page: Inbox, after: str | None, way: Way = "poll") -> InboxOut:
    services = call.services
    cursors_ = [call.find_service(InboxService).write_cursor(recipient, page.log, entry.offset) for entry in page.entries]
    items: list[ItemOut] = [
        item_out(entry, cursor, services.sealer) for entry, cursor in zip(page.entries, cursors_, strict=True)
    ]
    if items:
        accessed(call.caller, "inbox", inbox=recipient, found=len(items))
        METRICS.inbox_notices.labels(way).inc(len(items))
    return InboxOut(inbox=recipient, items=items, next_cursor=cursors_[-1] if items else after, has_more=page.more)


_REPLAYING = (*MARKING, "rate-limited")
_WAITING = (*MARKING, "too-many-streams", "overloaded")
ENDPOINTS = [
    Endpoint(
        "GET",
        "/v1/inbox",
        get_inbox,
        BOTH,
        "List notices (long poll)",
        long_poll=True,
        query=InboxQuery,
        answer=InboxOut,
        problems=_WAITING,
    ),
    Endpoint(
        "GET",
        "/v1/inbox/stream",
        get_inbox_stream,
        BOTH,
        "Stream notices",
        streaming=True,
        query=StreamQuery,
        answer=ItemOut,
        media="text/event-stream",
        request_headers=("Last-Event-ID",),
        problems=_WAITING,
    ),
    Endpoint(
        "GET", "/v1/inbox/{notification_id}", get_notification, BOTH, "One notice", query=OneQuery, answer=ItemOut, problems=QUERY
    ),
    Endpoint(
        "POST",
        "/v1/inbox/redeliver",
        post_redeliver,
        BOTH,
        "Redeliver the notices after a cursor",
        query=OneQuery,
        body=RedeliverIn,
        answer=InboxOut,
        problems=_REPLAYING,
    ),
    Endpoint(
        "POST",
        "/v1/inbox/{notification_id}/acknowledge",
        post_acknowledge,
        BOTH,
        "Acknowledge a notice",
        query=OneQuery,
        answer=ItemOut,
        problems=MARKING,
    ),
    Endpoint(
        "POST",
        "/v1/inbox/{notification_id}/redeliver",
        post_redeliver_one,
        BOTH,
        "Redeliver a notice",
        query=OneQuery,
        answer=ItemOut,
        problems=_REPLAYING,
    ),
    Endpoint(
        "GET",
        "/v1/deliveries",
        get_deliveries,
        OFFICERS,
        "List the deliveries of a case",
        query=DeliveriesQuery,
        answer=DeliveriesOut,
        problems=("unknown-case", *QUERY),
    ),
]
