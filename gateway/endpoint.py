"""What a route is: method, path, handler, and who may call it. Deny by default: a route without roles cannot be
declared.

Handlers take a Call and give a Response. FastAPI gets each route for the OpenAPI document; the request itself does
not pass its dependency and response-model machinery (measured: a third of the time of a single POST).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.auth import Caller, Role
from gateway.metrics import METRICS
from gateway.problems import MEDIA_TYPE, PROBLEMS, TYPE_PREFIX, Problem

if TYPE_CHECKING:
    from gateway.app import Services

LOOPBACK = ("127.0.0.1", "::1")


class Call(NamedTuple):
    """One request with its caller and the services."""

    request: Request
    caller: Caller
    services: Services


class ProblemBody(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


Handler = Callable[[Call], Awaitable[Any]]
ANYBODY = Caller("anybody", Role.OPERATOR, (), 0.0)


@dataclass(frozen=True)
class Endpoint:
    """`roles` empty means open to everybody; `open_on_loopback` lets a local scraper in without a token."""

    method: str
    path: str
    handler: Handler
    roles: frozenset[Role]
    summary: str
    open_on_loopback: bool = False
    body: type[BaseModel] | None = None
    body_media: str = "application/json"
    query: type[BaseModel] | None = None
    answers: dict[int, type[BaseModel] | None] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.handler.__name__


class Gateway(FastAPI):
    """FastAPI whose hot routes (those without a parameter in the path) are found by a look-up, before its middleware."""

    hot: dict[tuple[str, str], ASGIApp]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            serve = self.hot.get((scope["method"], scope["path"]))
            if serve is not None:
                scope["app"] = self
                await serve(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def mount(app: Gateway, endpoints: list[Endpoint], services: Services) -> None:
    """Adds the routes, in order."""
    app.hot = {}
    for endpoint in endpoints:
        route = _Route(
            endpoint.path,
            _documented(endpoint),
            methods=[endpoint.method],
            name=endpoint.name,
            operation_id=endpoint.name,
            summary=endpoint.summary,
            response_model=None,
            status_code=min(endpoint.answers, default=200),
            responses=_responses(endpoint),
            openapi_extra=_extra(endpoint),
        )
        route.app = _serve(endpoint, services)
        if "{" not in endpoint.path:
            app.hot[endpoint.method, endpoint.path] = route.app
        route.endpoint_declared = endpoint
        app.router.routes.append(route)


class _Route(APIRoute):
    endpoint_declared: Endpoint


def _documented(endpoint: Endpoint) -> Callable[..., Any]:
    """What FastAPI reads the documentation from; it is never called."""

    async def documented(request: Request) -> Response:
        raise AssertionError("served by Endpoint")

    documented.__doc__ = endpoint.handler.__doc__
    documented.__name__ = endpoint.name
    return documented


def _serve(endpoint: Endpoint, services: Services) -> ASGIApp:
    """The ASGI app of a route. Whatever goes wrong before the answer has begun is answered as a problem."""
    observe = METRICS.request_s.labels(endpoint.name).observe
    clock = time.perf_counter

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        began = clock()
        request = Request(scope, receive, send)
        try:
            caller = await _authorized(endpoint, request, services)
            response = await endpoint.handler(Call(request, caller, services))
        except Exception as error:
            response = services.problem_of(error).response()
        await response(scope, receive, send)
        observe(clock() - began)

    return serve


async def _authorized(endpoint: Endpoint, request: Request, services: Services) -> Caller:
    if not endpoint.roles:
        return ANYBODY
    client = request.client
    if endpoint.open_on_loopback and client is not None and client.host in LOOPBACK:
        return ANYBODY
    caller = await services.auth.caller(request.headers.get("authorization"))
    if caller.role not in endpoint.roles:
        needed = " or ".join(sorted(endpoint.roles))
        raise Problem("forbidden", f"this needs the role {needed}")
    return caller


def _responses(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    """The answers and problems of a route, for the document."""
    told: dict[int | str, dict[str, Any]] = {}
    for status, model in endpoint.answers.items():
        told[status] = {"model": model} if model is not None else {"description": "No content"}
    slugs = endpoint.problems + (("unauthenticated", "forbidden") if endpoint.roles else ())
    for slug in slugs:
        kind = PROBLEMS[slug]
        entry = told.setdefault(
            kind.status,
            {"description": "", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}},
        )
        entry["description"] = "; ".join(filter(None, (entry.get("description"), f"`{kind.slug}`: {kind.title}")))
    return told


def _extra(endpoint: Endpoint) -> dict[str, Any]:
    extra: dict[str, Any] = {"x-roles": sorted(endpoint.roles)}
    if endpoint.roles:
        extra["security"] = [{"bearer": []}]
    if endpoint.body is not None:
        reference = {"$ref": f"#/components/schemas/{endpoint.body.__name__}"}
        extra["requestBody"] = {"required": True, "content": {endpoint.body_media: {"schema": reference}}}
    if endpoint.query is not None:
        properties = endpoint.query.model_json_schema()["properties"]
        extra["parameters"] = [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
    return extra


def document(app: FastAPI, endpoints: list[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document with the schemas of the bodies, the problems and the bearer scheme."""
    told = FastAPI.openapi(app)
    components = told.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in {one.body for one in endpoints if one.body is not None}:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    schemas["Problem"] = ProblemBody.model_json_schema() | {
        "description": f"RFC 9457; `type` is {TYPE_PREFIX}<slug>, see docs/errors.md."
    }
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    return told
