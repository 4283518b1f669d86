"""The `liandong` command. Each command's module registers itself, so that a missing part costs the others nothing."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import typer

MODULES = (
    "deploy.local.commands",
    "deploy.demo",
    "deploy.token",
    "deploy.verify.main",
    "deploy.bench.main",
    "deploy.chaos.main",
    "connectors.commands",
)

app = typer.Typer(
    help="Liandong (联动): share fraud and illicit-finance signals, close the loop on each one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _root() -> None:
    """Liandong (联动)."""


def _is_there(module: str) -> bool:
    """Whether the module exists, without hiding an error inside of it."""
    parent, _, _ = module.rpartition(".")
    return find_spec(parent) is not None and find_spec(module) is not None


for _module in filter(_is_there, MODULES):
    import_module(_module).register(app)
