"""Routes of institutions over their webhooks: registering endpoints, replacing secrets, pausing, enabling and removing them;
listing and redelivering parked notices.

Invariant: an institution sees and changes its own endpoints only; another's does not exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import MARKING, QUERY, VIEWS
from gateway.http.request_body import RequestBody, RequestQuery, read_json, read_query
from gateway.http.responses import dumped
from gateway.http.roles import INSTITUTIONS
from gateway.security.audit import accessed
from gateway.webhooks.responses import (
    HookOut,
    HookSecretOut,
    HooksOut,
    ParkedOut,
    RedeliveredOut,
    hook_out,
    hooks_out,
    parked_out,
    secret_out,
)
from gateway.webhooks.service import MOST_REDELIVERED, WebhookService
from schemas.common import AtMost
from schemas.notices import NotificationId
from schemas.notifications.webhook import WebhookEndpoint
from stream_processors.webhooks.endpoints import EndpointIn


class RotateIn(RequestBody):
    """`immediately`: the old secret stops signing now, because somebody else has it. By default both sign for a day."""

    immediately: bool = False


class RedeliverParkedIn(RequestBody):
    """`notification_ids`: the parked notices to redeliver; default: the newest `limit`."""

    notification_ids: Annotated[tuple[NotificationId, ...], AtMost(MOST_REDELIVERED)] = ()
    limit: int = Field(default=MOST_REDELIVERED, ge=1, le=MOST_REDELIVERED)


class ParkedQuery(RequestQuery):
    limit: int = Field(default=50, ge=1, le=MOST_REDELIVERED)


def _endpoint_id(call: Call) -> str:
    name: str = call.request.path_params["endpoint_id"]
    return name


async def post_webhook(call: Call) -> Response:
    """Registers an endpoint: from now on your notices of these kinds are posted there, signed. The secret is shown this once."""
    body, service = await read_json(call, EndpointIn), call.find_service(WebhookService)
    endpoint, secret = await service.register(call.caller, body)
    where = {"Location": f"/v1/webhooks/{endpoint.endpoint_id}"}
    return dumped(secret_out(endpoint, secret, service.now()), 201, where)


async def get_webhooks(call: Call) -> Response:
    """Lists your endpoints, and all kinds of message."""
    service = call.find_service(WebhookService)
    return dumped(hooks_out(await service.all(call.caller.subject), service.now()))


async def get_webhook(call: Call) -> Response:
    """Returns one endpoint of yours."""
    service = call.find_service(WebhookService)
    return dumped(hook_out(await service.find_endpoint(call.caller.subject, _endpoint_id(call)), service.now()))


async def delete_webhook(call: Call) -> Response:
    """Removes the endpoint. Its pending notices stay in the inbox."""
    await call.find_service(WebhookService).remove(call.caller, _endpoint_id(call))
    return Response(status_code=204)


async def post_rotate(call: Call) -> Response:
    """Returns a new secret, shown this once. The old one also signs for a day, so install the new one meanwhile."""
    body, service = await read_json(call, RotateIn), call.find_service(WebhookService)
    endpoint, secret = await service.rotate(call.caller, _endpoint_id(call), at_once=body.immediately)
    return dumped(secret_out(endpoint, secret, service.now()))


async def post_pause(call: Call) -> Response:
    """Pauses the endpoint: its notices wait as long as the inbox shows them."""
    return await _switch_endpoint(call, call.find_service(WebhookService).pause)


async def post_resume(call: Call) -> Response:
    """Enables the endpoint again: waiting notices are posted in order."""
    return await _switch_endpoint(call, call.find_service(WebhookService).resume)


async def _switch_endpoint(call: Call, switch: Callable[..., Awaitable[WebhookEndpoint]]) -> Response:
    await read_json(call, RequestBody)
    return dumped(hook_out(await switch(call.caller, _endpoint_id(call)), call.find_service(WebhookService).now()))


async def get_parked(call: Call) -> Response:
    """Lists notices that the endpoint did not accept, newest first, with the reason."""
    query = read_query(call, ParkedQuery)
    name = _endpoint_id(call)
    page = await call.find_service(WebhookService).parked(call.caller.subject, name, query.limit)
    accessed(call.caller, "parked", endpoint=name, found=len(page.entries))
    return dumped(ParkedOut(endpoint_id=name, parked=[parked_out(entry) for entry in page.entries], has_more=page.more))


async def post_parked_redeliver(call: Call) -> Response:
    """Redelivers parked notices to this endpoint, in their order, with their ids."""
    body, name = await read_json(call, RedeliverParkedIn), _endpoint_id(call)
    page = await call.find_service(WebhookService).replay(call.caller, name, body.notification_ids, body.limit)
    notification_ids = [entry.issued.notification.notification_id for entry in page.entries]
    return dumped(RedeliveredOut(endpoint_id=name, redelivered=notification_ids, has_more=page.more))


_REMOVING = (*VIEWS, "log-unavailable", "overloaded", "rate-limited")
_CHANGING = ("invalid-request", *_REMOVING)
_ONE = "/v1/webhooks/{endpoint_id}"
ENDPOINTS = [
    Endpoint(
        "POST",
        "/v1/webhooks",
        post_webhook,
        INSTITUTIONS,
        "Register an endpoint",
        body=EndpointIn,
        responses={201: HookSecretOut},
        response_headers={201: ("Location",)},
        problems=("invalid-endpoint", "endpoint-refused", "endpoint-exists", "too-many-endpoints", *_CHANGING),
    ),
    Endpoint("GET", "/v1/webhooks", get_webhooks, INSTITUTIONS, "Your endpoints", answer=HooksOut, problems=VIEWS),
    Endpoint("GET", _ONE, get_webhook, INSTITUTIONS, "One endpoint", answer=HookOut, problems=VIEWS),
    Endpoint("DELETE", _ONE, delete_webhook, INSTITUTIONS, "Remove an endpoint", responses={204: None}, problems=_REMOVING),
    Endpoint(
        "POST",
        f"{_ONE}/rotate",
        post_rotate,
        INSTITUTIONS,
        "Replace the secret of an endpoint",
        body=RotateIn,
        answer=HookSecretOut,
        problems=("transition-not-allowed", *_CHANGING),
    ),
    Endpoint("POST", f"{_ONE}/pause", post_pause, INSTITUTIONS, "Pause an endpoint", answer=HookOut, problems=_CHANGING),
    Endpoint(
        "POST",
        f"{_ONE}/resume",
        post_resume,
        INSTITUTIONS,
        "Enable an endpoint",
        answer=HookOut,
        problems=("endpoint-refused", *_CHANGING),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/parked",
        get_parked,
        INSTITUTIONS,
        "List the parked notices of an endpoint",
        query=ParkedQuery,
        answer=ParkedOut,
        problems=QUERY,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/redeliver",
        post_parked_redeliver,
        INSTITUTIONS,
        "Send what was parked once more",
        body=RedeliverParkedIn,
        answer=RedeliveredOut,
        problems=(*MARKING, "rate-limited"),
    ),
]
