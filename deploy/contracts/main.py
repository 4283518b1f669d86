"""`liandong contracts write | check | release`: writes the contracts from the code and compares them with the last release."""

from __future__ import annotations

import typer

COMMAND = ".venv/bin/liandong contracts write"


def register(app: typer.Typer) -> None:
    """Adds `liandong contracts`."""
    contracts = typer.Typer(help="Write and check OpenAPI, AsyncAPI and JSON Schemas in docs/contracts.", no_args_is_help=True)
    app.add_typer(contracts, name="contracts")

    @contracts.command("write")
    def write() -> None:
        """Write docs/contracts and the other files made from the schemas."""
        from deploy.contracts import files

        changed = files.write()
        typer.echo("\n".join(map(str, changed)) if changed else "contracts are up to date")

    @contracts.command("check")
    def check() -> None:
        """Fail if a file differs from the code, or if the code breaks the contract of the last release."""
        from deploy.contracts import baseline, files

        differ, findings = files.differences(), baseline.compared()
        for notice in findings.notices:
            typer.echo(f"notice: {notice}: upgrade its readers before its writers")
        for difference in differ:
            typer.echo(f"{difference}; run: {COMMAND}", err=True)
        for breach in findings.breaks:
            typer.echo(f"breaks {baseline.last().name}: {breach}", err=True)
        if differ or findings.breaks:
            raise typer.Exit(1)
        typer.echo(f"contracts match the code and are compatible with {baseline.last().name}")

    @contracts.command("release")
    def release() -> None:
        """Make the current contract the baseline of the version in pyproject.toml."""
        from deploy.contracts import baseline, files

        files.write()
        typer.echo(str(baseline.release()))
