"""Routes of recipients: what reached them, as a long poll or live; acknowledge it, have it sent once more. And of officers:
the proof of what was delivered of a case.

Invariant: an institution reads its own inbox, an officer those of his queues; another's does not exist. What was read past is
marked as received in the log before the answer.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from gateway.http.endpoint import Call, Endpoint
from gateway.http.request_body import media_type, read_body
from gateway.http.responses import dumped
from gateway.inbox import cursor as cursors
from gateway.inbox.responses import DeliveriesOut, InboxOut, ItemOut, case_notice_out, item_out
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
    """`after`: the `next` of the answer before; what lies before it counts as received. `wait_s`: how long to wait for something
    when there is nothing. `inbox`: for officers, which of their queues; not needed where the token names one."""

    after: str | None = Field(default=None, max_length=64)
    wait_s: float = Field(default=0, ge=0, le=MOST_WAIT_S)
    limit: int = Field(default=50, ge=1, le=MOST_ITEMS)


class StreamQuery(_Query):
    """`after`: where to begin, when there is no `Last-Event-ID`. `inbox` as for the list."""

    after: str | None = Field(default=None, max_length=64)


class OneQuery(_Query):
    """`inbox` as for the list."""


class DeliveriesQuery(BaseModel):
    """`case`: the case whose notices are asked for."""

    model_config = ConfigDict(extra="forbid")
    case: Name


class ReplayIn(Exact):
    """`after`: a cursor; what lies behind it is sent once more. Without one: all that is kept. `limit`: at most so many."""

    model_config = ConfigDict(extra="forbid")
    after: str | None = Field(default=None, max_length=64)
    limit: int = Field(default=MOST_ITEMS, ge=1, le=MOST_ITEMS)


async def get_inbox(call: Call) -> Response:
    """Your notices, the oldest first: at once when there are any behind `after`, else as soon as one comes. Asking on with `next`
    says that what came has arrived: it is marked as received, once."""
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
    """The same live, as server-sent events: `notice` (an item; its id is its cursor), `bye`. `Last-Event-ID` resumes, and says
    that all before it has arrived; one that is not of this inbox is passed over: all that is kept comes again. A notice that is
    sent once more has no id."""
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


async def get_notice(call: Call) -> Response:
    """One notice, as a webhook's `link` names it. Reading it marks nothing: acknowledge it when your system has it."""
    recipient = inbox_of(call.caller, _query(call, OneQuery).inbox)
    entry = await call.services.inboxes.notice(recipient, call.request.path_params["notice_id"])
    accessed(call.caller, "inbox", inbox=recipient, found=1)
    return dumped(item_out(entry, None, call.services.sealer))


async def post_acknowledge(call: Call) -> Response:
    """Your system has it and will act: said once, in the log before the answer. Again gives the first time back."""
    recipient = inbox_of(call.caller, _query(call, OneQuery).inbox)
    entry = await call.services.inboxes.acknowledge(call.caller, recipient, call.request.path_params["notice_id"])
    return dumped(item_out(entry, None, call.services.sealer))


async def post_replay_one(call: Call) -> Response:
    """The notice once more: in this answer, to those who listen live, and to a webhook, also one that was parked."""
    recipient = inbox_of(call.caller, _query(call, OneQuery).inbox)
    await _may_replay(call, recipient)
    entry = await call.services.inboxes.replay(call.caller, recipient, call.request.path_params["notice_id"])
    accessed(call.caller, "inbox", inbox=recipient, found=1)
    return dumped(item_out(entry, None, call.services.sealer))


async def post_replay(call: Call) -> Response:
    """All notices behind a cursor once more, as for one."""
    services = call.services
    recipient = inbox_of(call.caller, _query(call, OneQuery).inbox)
    raw = await read_body(call.request, services.settings.body_limit_bytes, services.settings.body_idle_s)
    if raw:
        media_type(call.request, "application/json")
    body = validated(ReplayIn, raw or b"{}", "invalid-request", services.settings.json_depth_limit)
    after = await services.inboxes.place(recipient, body.after)
    if after is None:
        raise cursors.refused("/after")
    await _may_replay(call, recipient)
    page = await services.inboxes.replay_from(call.caller, recipient, after, body.limit)
    return dumped(_render_inbox(call, recipient, page, body.after, "api"))


async def get_deliveries(call: Call) -> Response:
    """Who was told what about a case of your queues, and the proof: sent, received, acknowledged, parked, sent once more."""
    query = _query(call, DeliveriesQuery)
    case = await call.services.views.case(query.case)
    if case is None or not call.caller.may_work_on(case.queue):
        raise Problem("unknown-case", "the case does not exist in your queues")
    notices = await call.services.views.of_case(case.case_id)
    accessed(call.caller, "deliveries", case=case.case_id, found=len(notices))
    return dumped(DeliveriesOut(case_id=case.case_id, deliveries=[case_notice_out(notice) for notice in notices]))


def inbox_of(caller: Caller, named: str | None) -> str:
    """Whose inbox it is: an institution's own; of an officer's queues the one that is named, or the only one of the token."""
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
    return InboxOut(inbox=recipient, items=items, next=cursors_[-1] if items else after, more=page.more)


def _query(call: Call, model: type[Model]) -> Model:
    try:
        return model.model_validate(dict(call.request.query_params))
    except ValidationError as error:
        raise of_refused(refused(error, "invalid-request")) from None


_TROUBLE = ("invalid-request", "rebuilding", "state-unavailable")
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
        "/v1/inbox/{notice_id}",
        get_notice,
        RECIPIENTS,
        "One notice",
        query=OneQuery,
        answers={200: ItemOut},
        problems=_TROUBLE,
    ),
    Endpoint(
        "POST",
        "/v1/inbox/replay",
        post_replay,
        RECIPIENTS,
        "Redeliver the notices after a cursor",
        query=OneQuery,
        body=ReplayIn,
        body_required=False,
        answers={200: InboxOut},
        problems=_REPLAYING,
    ),
    Endpoint(
        "POST",
        "/v1/inbox/{notice_id}/acknowledge",
        post_acknowledge,
        RECIPIENTS,
        "Acknowledge a notice",
        query=OneQuery,
        answers={200: ItemOut},
        problems=_MARKING,
    ),
    Endpoint(
        "POST",
        "/v1/inbox/{notice_id}/replay",
        post_replay_one,
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
