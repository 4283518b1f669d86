"""Live queues for officers: changes of cases on an open connection (docs/guide/live.md).

Invariant: a listener may see every queue it gets, which is checked when the connection opens; the connection ends with the token.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.problems import Problem
from gateway.http.roles import OFFICERS, own_queue
from gateway.live.hub import Hub, Wants
from gateway.live.stream import EventStream
from gateway.rendering.cases import CaseOut
from gateway.rendering.queues import QueueOut
from gateway.security.audit import accessed
from gateway.settings import GatewaySettings

_MOST_QUEUES = 64


class LiveOut(BaseModel):
    """Data of the events: `cases` of an event `cases`, `queues` of `counts`, `reason` of `reset` and `bye`."""

    cases: list[CaseOut] | None = None
    queues: list[QueueOut] | None = None
    reason: str | None = None


class EventsQuery(BaseModel):
    """`queue`, repeated for several queues; default: all that the caller may see."""

    queue: list[str] = Field(default=[], max_length=_MOST_QUEUES)


async def get_queue_events(call: Call) -> EventStream:
    """Streams server-sent events of one queue: `cases` (newest state of each changed case), `counts` (by severity), `reset` (read
    the list again), `bye`. At most 4 updates a second; `Last-Event-ID` resumes."""
    queue = own_queue(call.request.path_params["queue"], call.caller)
    return await _open_events(call, queue, lambda name: name == queue)


async def get_events(call: Call) -> EventStream:
    """Streams several queues (`?queue=a&queue=b`), or all that the caller may see."""
    names = call.request.query_params.getlist("queue")
    if len(names) > _MOST_QUEUES:
        raise Problem("invalid-request", f"a request may name at most {_MOST_QUEUES} queues", errors=[])
    queues = frozenset(own_queue(name, call.caller) for name in names)
    return await _open_events(call, ",".join(sorted(queues)) or None, queues.__contains__ if queues else call.caller.may_work_on)


async def _open_events(call: Call, named: str | None, wants: Wants) -> EventStream:
    """`named` is the audit record of the listener: None for all of the caller's queues."""
    hub = call.find_service(Hub)
    accessed(call.caller, "live", queue=named)
    client = await hub.join(call.caller, wants, call.request.headers.get("last-event-id"))
    return EventStream(hub, client, call.find_service(GatewaySettings))


_STREAM: dict[str, Any] = {
    "streaming": True,
    "answer": LiveOut,
    "media": "text/event-stream",
    "request_headers": ("Last-Event-ID",),
    "problems": ("invalid-request", "too-many-streams", "overloaded", "views-rebuilding"),
}
ENDPOINTS = [
    Endpoint("GET", "/v1/queues/events", get_events, OFFICERS, "Stream changes of several queues", query=EventsQuery, **_STREAM),
    Endpoint("GET", "/v1/queues/{queue}/events", get_queue_events, OFFICERS, "Stream changes of a queue", **_STREAM),
]
