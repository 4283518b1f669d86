"""A route: method, path, handler, and roles. Deny by default: a route without roles cannot be declared.

Handlers take a Call and return a Response. FastAPI only finds the route; the request bypasses its dependency and response-model
machinery (measured: a third of the time of a single POST). `openapi.py` documents the declarations.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.call import Call, RequestServices
from gateway.http.caller import ANYBODY, Caller, Role
from gateway.http.problems import Problem
from stream_processors.runtime.metrics import GATEWAY as METRICS

_WITH_SLASHES = ("{notification_id}",)
"""Path parameters whose values may contain a slash."""


class ProblemBody(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True)
class Endpoint:
    """A route. `roles` empty means open to everybody; `scraped` lets in who sends the scrape token in place of a JWT
    (gateway/security/scrape_token.py). `streaming` and `long_poll` responses last as long as the client stays connected, so their
    duration is not recorded. `name` and `description` are those of the handler where they are not given.

    The rest documents (openapi.py): `answer` is the model of 200, `responses` those of other statuses (None: no model; text of
    `media`, or nothing with 204), `alternate_responses` other models for the same status, by role, `alternate_media` another form
    of 200 (as text). `request_headers` are those that this route reads, `response_headers` those that it sets, `problems` what
    only this route answers.
    """

    method: str
    path: str
    handler: Handler
    roles: frozenset[Role]
    summary: str
    name: str = ""
    description: str = ""
    scraped: bool = False
    streaming: bool = False
    long_poll: bool = False
    body: type[BaseModel] | None = None
    body_media: str = "application/json"
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    responses: dict[int, type[BaseModel] | None] = field(default_factory=dict)
    alternate_responses: dict[int, tuple[type[BaseModel], ...]] = field(default_factory=dict)
    media: str = "application/json"
    alternate_media: str = ""
    request_headers: tuple[str, ...] = ()
    response_headers: dict[int, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.handler.__name__)
        object.__setattr__(self, "description", self.description or inspect.getdoc(self.handler) or self.summary)
        if self.answer is not None:
            object.__setattr__(self, "responses", {200: self.answer, **self.responses})

    @property
    def methods(self) -> list[str]:
        """HEAD is answered like GET without the body (RFC 9110, 9.3.2), if the response has an end."""
        return ["GET", "HEAD"] if self.method == "GET" and not (self.streaming or self.long_poll) else [self.method]

    @property
    def is_body_required(self) -> bool:
        """A body of which all members may be left out may be left out itself."""
        return self.body is not None and any(member.is_required() for member in self.body.model_fields.values())

    @property
    def models(self) -> list[type[BaseModel]]:
        """Models of all its responses."""
        first = [model for model in self.responses.values() if model is not None]
        return first + [model for models in self.alternate_responses.values() for model in models]

    @property
    def all_problems(self) -> tuple[str, ...]:
        """Problems of the route, and those that follow from its caller, its body and its path parameters."""
        slugs = [*self.problems]
        slugs += ("unauthenticated", "forbidden", "keys-unavailable") if self.roles else ()
        slugs += ("body-timeout", "body-too-large", "unsupported-media-type", "json-too-deep") if self.body is not None else ()
        slugs += ("not-found",) if "{" in self.path else ()
        return tuple(dict.fromkeys(slugs))


class GatewayApp(FastAPI):
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


def mount(app: GatewayApp, endpoints: list[Endpoint], services: RequestServices) -> None:
    """Adds the routes in order."""
    app.hot = {}
    for endpoint in endpoints:
        path = endpoint.path
        for name in _WITH_SLASHES:
            path = path.replace(name, f"{name[:-1]}:path}}")
        route = APIRoute(path, _serve_nothing, methods=endpoint.methods, name=endpoint.name, include_in_schema=False)
        route.app = _build_app(endpoint, services)
        if "{" not in endpoint.path:
            app.hot |= {(method, endpoint.path): route.app for method in endpoint.methods}
        app.router.routes.append(route)


async def _serve_nothing(request: Request) -> Response:
    raise AssertionError("the Endpoint serves this route itself")


def _build_app(endpoint: Endpoint, services: RequestServices) -> ASGIApp:
    """Returns the ASGI app of a route. Any error before the response begins is answered as a problem."""
    observe = METRICS.request_s.labels(endpoint.name).observe
    clock = time.perf_counter

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        began = clock()
        if scope["method"] == "HEAD":
            send = _without_body(send)
        request = Request(scope, receive, send)
        try:
            caller = await _authorize(endpoint, request, services)
            response = await endpoint.handler(Call(request, caller, services))
        except Exception as error:
            response = services.problem_of(error).response()
        await response(scope, receive, send)
        if not (endpoint.streaming or endpoint.long_poll):
            observe(clock() - began)

    return serve


def _without_body(send: Send) -> Send:
    async def bare(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return bare


async def _authorize(endpoint: Endpoint, request: Request, services: RequestServices) -> Caller:
    if not endpoint.roles:
        return ANYBODY
    header = request.headers.get("authorization")
    if endpoint.scraped and services.is_scraper(header):
        return ANYBODY
    caller = await services.authenticate(header)
    if caller.role not in endpoint.roles:
        needed = " or ".join(sorted(endpoint.roles))
        raise Problem("forbidden", f"this request requires the role {needed}")
    return caller
