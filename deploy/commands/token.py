"""`liandong token bank-001`: prints a bearer token for local use."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from deploy.local.tokens import LONGEST_S, ROLES, mint

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _parse_seconds(text: str) -> int:
    """`1d`, `8h`, `30m`, `90s` -> seconds."""
    match = re.fullmatch(r"([1-9]\d{0,6})([smhd])", text)
    if not match:
        raise typer.BadParameter("enter a number and s, m, h or d, for example 8h")
    return int(match[1]) * _UNITS_S[match[2]]


def register(app: typer.Typer) -> None:
    """Adds `liandong token`."""

    @app.command("token")
    def token(
        subject: Annotated[str, typer.Argument(help="Subject: bank-001 for an institution, officer-… for an officer.")],
        role: Annotated[str | None, typer.Option(help=", ".join(ROLES))] = None,
        queues: Annotated[list[str] | None, typer.Option(help="Officer's queue, or a prefix ending in *. Repeatable.")] = None,
        ttl: Annotated[str, typer.Option(help="Lifetime: 90s, 30m, 8h, 1d.")] = "1d",
        profile: Annotated[str, typer.Option(envvar="LIANDONG_PROFILE")] = "demo",
    ) -> None:
        """Print a bearer token for local use."""
        try:
            ttl_s = _parse_seconds(ttl)
            if ttl_s > LONGEST_S:
                raise typer.BadParameter("a gateway accepts tokens with a lifetime of at most 1 day; create a new one each day")
            typer.echo(mint(subject, role=role, queues=queues, ttl_s=ttl_s, profile=profile))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
