"""`liandong loop diagram`: prints the state tables as diagrams."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds `liandong loop`."""
    loop = typer.Typer(help="Print the state diagrams of cases, orders and dissuasion tasks.", no_args_is_help=True)
    app.add_typer(loop, name="loop")

    @loop.command("diagram")
    def show(name: Annotated[str, typer.Argument(help="Diagram to print: case, order or task. Default: all.")] = "") -> None:
        """Print Mermaid text, for a Mermaid renderer or https://mermaid.live."""
        from stream_processors.domain.state_diagrams import PICTURES, diagram

        if name and name not in PICTURES:
            raise typer.BadParameter(f"unknown diagram {name}; choose one of {', '.join(PICTURES)}")
        for table in (name,) if name else PICTURES:
            typer.echo(f"%% {table}\n{diagram(PICTURES[table]())}")

    @loop.callback()
    def _describe_group() -> None:
        """State diagrams."""
