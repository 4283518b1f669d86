"""How a route that submits a command is declared."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.commands.responses import ActionOut
from gateway.http.caller import Role
from gateway.http.endpoint import Endpoint, Handler
from gateway.http.problem_sets import CASE_COMMAND


def command_endpoint(
    path: str,
    handler: Handler,
    roles: frozenset[Role],
    summary: str,
    *,
    problems: tuple[str, ...],
    common: tuple[str, ...] = CASE_COMMAND,
    pending: type[BaseModel] = ActionOut,
    **more: Any,
) -> Endpoint:
    """POST with an Idempotency-Key: 200 with what it became, or 202 (`pending`) with where to ask. `common`: the problems that it
    shares with others; `more`: other members of Endpoint."""
    return Endpoint(
        "POST",
        path,
        handler,
        roles,
        summary,
        responses={202: pending},
        request_headers=("Idempotency-Key",),
        response_headers={202: ("Location", "Retry-After")},
        problems=(*problems, *common),
        **more,
    )
