"""The commands of the connectors, each registered by its own folder."""

from __future__ import annotations

import typer

from connectors.filedrop import cli as filedrop


def register(app: typer.Typer) -> None:
    filedrop.register(app)
