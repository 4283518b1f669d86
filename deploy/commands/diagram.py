"""`liandong diagram`: prints the state tables as diagrams."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds `liandong diagram`."""

    @app.command("diagram")
    def show(
        name: Annotated[
            str, typer.Argument(help="Diagram to print: case, order, dissuasion, appeal and others. Default: all.")
        ] = "",
    ) -> None:
        """Print the state diagrams as Mermaid text, for a Mermaid renderer or https://mermaid.live."""
        from stream_processors.domain.state_diagrams import PICTURES, diagram

        if name and name not in PICTURES:
            raise typer.BadParameter(f"unknown diagram {name}; choose one of {', '.join(PICTURES)}")
        for table in (name,) if name else PICTURES:
            typer.echo(f"%% {table}\n{diagram(PICTURES[table]())}")
