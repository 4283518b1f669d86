"""Routes of institutions over their webhooks: registering endpoints, replacing secrets, pausing, enabling and removing them;
listing and redelivering parked notices.

Invariant: an institution sees and changes its own endpoints only; another's does not exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from gateway.commands.case_requests import INSTITUTIONS, body_of
from gateway.http.endpoint import Call, Endpoint
from gateway.http.responses import dumped
from gateway.problems import of_refused
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
from gateway.webhooks.service import MOST_REDELIVERED
from schemas.common import AtMost, Exact
from schemas.notices import NotificationId
from schemas.notifications.webhook import WebhookEndpoint as Hook
from schemas.parsing import refused
from stream_processors.webhooks.endpoints import EndpointIn


class _Body(Exact):
    model_config = ConfigDict(extra="forbid")


class RotateIn(_Body):
    """`immediately`: the old secret stops signing now, because somebody else has it. By default both sign for a day."""

    immediately: bool = False


class RedeliverParkedIn(_Body):
    """`notification_ids`: the parked notices to redeliver; default: the newest `limit`."""

    notification_ids: Annotated[tuple[NotificationId, ...], AtMost(MOST_REDELIVERED)] = ()
    limit: int = Field(default=MOST_REDELIVERED, ge=1, le=MOST_REDELIVERED)


class ParkedQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(default=50, ge=1, le=MOST_REDELIVERED)


def _id(call: Call) -> str:
    name: str = call.request.path_params["endpoint_id"]
    return name


async def post_webhook(call: Call) -> Response:
    """Registers an endpoint: from now on your notices of these kinds are posted there, signed. The secret is shown this once."""
    body, desk = await body_of(call, EndpointIn), call.services.hooks
    endpoint, secret = await desk.register(call.caller, body)
    where = {"Location": f"/v1/webhooks/{endpoint.endpoint_id}"}
    return dumped(secret_out(endpoint, secret, desk.now()), 201, where)


async def get_webhooks(call: Call) -> Response:
    """Lists your endpoints, and all kinds of message."""
    desk = call.services.hooks
    return dumped(hooks_out(await desk.all(call.caller.subject), desk.now()))


async def get_webhook(call: Call) -> Response:
    """Returns one endpoint of yours."""
    desk = call.services.hooks
    return dumped(hook_out(await desk.find_endpoint(call.caller.subject, _id(call)), desk.now()))


async def delete_webhook(call: Call) -> Response:
    """Removes the endpoint. Its pending notices stay in the inbox."""
    await call.services.hooks.remove(call.caller, _id(call))
    return Response(status_code=204)


async def post_rotate(call: Call) -> Response:
    """Returns a new secret, shown this once. The old one also signs for a day, so install the new one meanwhile."""
    body, desk = await body_of(call, RotateIn), call.services.hooks
    endpoint, secret = await desk.rotate(call.caller, _id(call), at_once=body.immediately)
    return dumped(secret_out(endpoint, secret, desk.now()))


async def post_pause(call: Call) -> Response:
    """Pauses the endpoint: its notices wait as long as the inbox shows them."""
    return await _switched(call, call.services.hooks.pause)


async def post_resume(call: Call) -> Response:
    """Enables the endpoint again: waiting notices are posted in order."""
    return await _switched(call, call.services.hooks.resume)


async def _switched(call: Call, switch: Callable[..., Awaitable[Hook]]) -> Response:
    await body_of(call, _Body)
    return dumped(hook_out(await switch(call.caller, _id(call)), call.services.hooks.now()))


async def get_parked(call: Call) -> Response:
    """Lists notices that the endpoint did not accept, newest first, with the reason."""
    try:
        query = ParkedQuery.model_validate(dict(call.request.query_params))
    except ValidationError as error:
        raise of_refused(refused(error, "invalid-request")) from None
    name = _id(call)
    page = await call.services.hooks.parked(call.caller.subject, name, query.limit)
    accessed(call.caller, "parked", endpoint=name, found=len(page.entries))
    return dumped(ParkedOut(endpoint_id=name, parked=[parked_out(entry) for entry in page.entries], has_more=page.more))


async def post_parked_redeliver(call: Call) -> Response:
    """Redelivers parked notices to this endpoint, in their order, with their ids."""
    body, name = await body_of(call, RedeliverParkedIn), _id(call)
    page = await call.services.hooks.replay(call.caller, name, body.notification_ids, body.limit)
    notification_ids = [entry.issued.notification.notification_id for entry in page.entries]
    return dumped(RedeliveredOut(endpoint_id=name, redelivered=notification_ids, has_more=page.more))


_TROUBLE = ("invalid-request", "views-rebuilding", "state-unavailable")
_CHANGING = (*_TROUBLE, "log-unavailable", "overloaded", "rate-limited")
_ONE = "/v1/webhooks/{endpoint_id}"
ENDPOINTS = [
    Endpoint(
        "POST",
        "/v1/webhooks",
        post_webhook,
        INSTITUTIONS,
        "Register an endpoint",
        body=EndpointIn,
        answers={201: HookSecretOut},
        gives={201: ("Location",)},
        problems=("invalid-endpoint", "endpoint-refused", "endpoint-exists", "too-many-endpoints", *_CHANGING),
    ),
    Endpoint("GET", "/v1/webhooks", get_webhooks, INSTITUTIONS, "Your endpoints", answers={200: HooksOut}, problems=_TROUBLE[1:]),
    Endpoint("GET", _ONE, get_webhook, INSTITUTIONS, "One endpoint", answers={200: HookOut}, problems=_TROUBLE[1:]),
    Endpoint("DELETE", _ONE, delete_webhook, INSTITUTIONS, "Remove an endpoint", answers={204: None}, problems=_CHANGING[1:]),
    Endpoint(
        "POST",
        f"{_ONE}/rotate",
        post_rotate,
        INSTITUTIONS,
        "Replace the secret of an endpoint",
        body=RotateIn,
        body_required=False,
        answers={200: HookSecretOut},
        problems=("transition-not-allowed", *_CHANGING),
    ),
    Endpoint("POST", f"{_ONE}/pause", post_pause, INSTITUTIONS, "Pause an endpoint", answers={200: HookOut}, problems=_CHANGING),
    Endpoint(
        "POST",
        f"{_ONE}/resume",
        post_resume,
        INSTITUTIONS,
        "Enable an endpoint",
        answers={200: HookOut},
        problems=("endpoint-refused", *_CHANGING),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/parked",
        get_parked,
        INSTITUTIONS,
        "List the parked notices of an endpoint",
        query=ParkedQuery,
        answers={200: ParkedOut},
        problems=_TROUBLE,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/redeliver",
        post_parked_redeliver,
        INSTITUTIONS,
        "Send what was parked once more",
        body=RedeliverParkedIn,
        body_required=False,
        answers={200: RedeliveredOut},
        problems=(*_TROUBLE, "log-unavailable", "rate-limited"),
    ),
]
