"""The API reference as a page: every route with its roles, body, responses and problems, from the table that serves them.

Invariant: the page loads nothing (no scripts, no fonts), so it works without a network. It is made once, because the table does
not change while the gateway runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from html import escape

import orjson
from starlette.responses import HTMLResponse, Response

from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.openapi import OpenApiOut, document
from gateway.http.problem_table import PROBLEMS
from gateway.http.roles import EVERYBODY

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h2{font-size:1.05rem;margin:2rem 0 .3rem}code{font-family:ui-monospace,monospace}dl{margin:.3rem 0 0;display:grid;
grid-template-columns:7rem 1fr;gap:.1rem 1rem}dt{color:#555}dd{margin:0}p{margin:.2rem 0}"""


class Interface:
    """Both forms, each made on first use and cached. The document takes as long as a thousand signals, so it is made once, and a
    failure to make it does not stop signals."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._endpoints = endpoints

    @cached_property
    def openapi(self) -> bytes:
        return orjson.dumps(document(self._endpoints))

    @cached_property
    def page(self) -> bytes:
        return _render_page(self._endpoints).encode()


async def openapi(call: Call) -> Response:
    """Returns the OpenAPI document."""
    return Response(call.request.app.state.interface.openapi, media_type="application/json")


async def docs(call: Call) -> Response:
    """Returns the API reference as a page."""
    return HTMLResponse(call.request.app.state.interface.page)


def _render_page(endpoints: Sequence[Endpoint]) -> str:
    sections = "\n".join(_render_section(endpoint) for endpoint in endpoints)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Liandong: the API</title><style>{_STYLE}</style>'
        f'<h1>Liandong: the API</h1><p>For machines: <a href="/openapi.json">openapi.json</a>. A token for local use: '
        f"<code>liandong token bank-001</code>, sent as <code>Authorization: Bearer …</code>.</p>\n{sections}</html>"
    )


def _render_section(endpoint: Endpoint) -> str:
    rows = [("roles", ", ".join(sorted(endpoint.roles)) or "open")]
    if endpoint.body is not None:
        rows.append(("body", f"{endpoint.body.__name__} ({endpoint.body_media}): {', '.join(endpoint.body.model_fields)}"))
    if endpoint.query is not None:
        rows.append(("query", ", ".join(endpoint.query.model_fields)))
    for status, model in endpoint.responses.items():
        rows.append((str(status), f"{model.__name__}: {', '.join(model.model_fields)}" if model else "no content"))
    rows += [(str(PROBLEMS[slug].status), f"{slug}: {PROBLEMS[slug].title}") for slug in endpoint.all_problems]
    definitions = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    description = escape(endpoint.description)
    return f"<h2><code>{endpoint.method} {escape(endpoint.path)}</code></h2><p>{description}</p><dl>{definitions}</dl>"


ENDPOINTS = [
    Endpoint("GET", "/docs", docs, EVERYBODY, "Show the API reference", responses={200: None}, media="text/html"),
    Endpoint("GET", "/openapi.json", openapi, EVERYBODY, "Retrieve the OpenAPI document", answer=OpenApiOut),
]
