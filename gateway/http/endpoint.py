"""A route: method, path, handler, and roles. Deny by default: a route without roles cannot be declared.

Handlers take a Call and return a Response. FastAPI only finds the route; the request bypasses its dependency and response-model
machinery (measured: a third of the time of a single POST). `openapi.py` documents the declarations.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import METRICS
from gateway.problems import Problem
from gateway.security.auth import Caller, Role

if TYPE_CHECKING:
    from gateway.services import Services

_WITH_SLASHES = ("{notification_id}",)
"""Path parameters whose values may contain a slash."""


class Call(NamedTuple):
    """One request with its caller and the services."""

    request: Request
    caller: Caller
    services: Services


class ProblemBody(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str


Handler = Callable[[Call], Awaitable[Any]]
ANYBODY = Caller("anybody", Role.OPERATOR, (), 0.0)


@dataclass(frozen=True)
class Endpoint:
    """Empty `roles` mean open to everybody; `scraped` admits the scrape token in place of a JWT
    (gateway/security/scrape_token.py). `streams` and `waits` (long poll): the response lasts as long as the client stays
    connected, so its duration is not recorded.

    The rest documents the route (openapi.py): `answers` by status (None: no model; text of `answer_media`, or nothing with 204),
    `also`: other models for the same status, by role; `also_media`: another media type of the 200 response (as text); `takes` and
    `gives`: the request headers it reads and the response headers it sets; `problems`: those of this route only.
    """

    method: str
    path: str
    handler: Handler
    roles: frozenset[Role]
    summary: str
    scraped: bool = False
    streams: bool = False
    waits: bool = False
    body: type[BaseModel] | None = None
    body_media: str = "application/json"
    body_required: bool = True
    query: type[BaseModel] | None = None
    answers: dict[int, type[BaseModel] | None] = field(default_factory=dict)
    also: dict[int, tuple[type[BaseModel], ...]] = field(default_factory=dict)
    answer_media: str = "application/json"
    also_media: str = ""
    takes: tuple[str, ...] = ()
    gives: dict[int, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def methods(self) -> list[str]:
        """HEAD is answered like GET without the body (RFC 9110, 9.3.2), if the response has an end."""
        return ["GET", "HEAD"] if self.method == "GET" and not (self.streams or self.waits) else [self.method]

    @property
    def models(self) -> list[type[BaseModel]]:
        """Models of all its responses."""
        first = [model for model in self.answers.values() if model is not None]
        return first + [model for some in self.also.values() for model in some]

    @property
    def all_problems(self) -> tuple[str, ...]:
        """Problems of the route, and those that follow from its caller, its body and its path parameters."""
        slugs = [*self.problems]
        slugs += ("unauthenticated", "forbidden", "keys-unavailable") if self.roles else ()
        slugs += ("body-timeout", "body-too-large", "unsupported-media-type", "json-too-deep") if self.body is not None else ()
        slugs += ("not-found",) if "{" in self.path else ()
        return tuple(dict.fromkeys(slugs))


class Gateway(FastAPI):
    """FastAPI whose busiest routes (without path parameters) are found by a look-up, before its middleware."""

    hot: dict[tuple[str, str], ASGIApp]
    drain: Callable[[], None]
    """Ends the open streams. The server calls it before it waits for the other responses."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            serve = self.hot.get((scope["method"], scope["path"]))
            if serve is not None:
                scope["app"] = self
                await serve(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def mount(app: Gateway, endpoints: list[Endpoint], services: Services) -> None:
    """Adds the routes in order."""
    app.hot = {}
    for endpoint in endpoints:
        path = endpoint.path
        for name in _WITH_SLASHES:
            path = path.replace(name, f"{name[:-1]}:path}}")
        route = APIRoute(path, _never, methods=endpoint.methods, name=endpoint.name, include_in_schema=False)
        route.app = _serve(endpoint, services)
        if "{" not in endpoint.path:
            app.hot |= {(method, endpoint.path): route.app for method in endpoint.methods}
        app.router.routes.append(route)


async def _never(request: Request) -> Response:
    raise AssertionError("the Endpoint serves this route itself")


def _serve(endpoint: Endpoint, services: Services) -> ASGIApp:
    """Returns the ASGI app of a route. Any error before the response begins is answered as a problem."""
    observe = METRICS.request_s.labels(endpoint.name).observe
    clock = time.perf_counter

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        began = clock()
        if scope["method"] == "HEAD":
            send = _without_body(send)
        request = Request(scope, receive, send)
        try:
            caller = await _authorized(endpoint, request, services)
            response = await endpoint.handler(Call(request, caller, services))
        except Exception as error:
            response = services.problem_of(error).response()
        await response(scope, receive, send)
        if not (endpoint.streams or endpoint.waits):
            observe(clock() - began)

    return serve


def _without_body(send: Send) -> Send:
    async def bare(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return bare


async def _authorized(endpoint: Endpoint, request: Request, services: Services) -> Caller:
    if not endpoint.roles:
        return ANYBODY
    header = request.headers.get("authorization")
    if endpoint.scraped and services.scrape_token.matches(header):
        return ANYBODY
    caller = await services.auth.caller(header)
    if caller.role not in endpoint.roles:
        needed = " or ".join(sorted(endpoint.roles))
        raise Problem("forbidden", f"this request requires the role {needed}")
    return caller
