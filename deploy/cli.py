"""The `liandong` command. The module of each command registers itself, so that a missing part does not affect the others."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec

import typer

# Module by the commands it registers: `liandong status` need not wait for what only `liandong verify` imports.
MODULES = {
    "deploy.local.commands": ("up", "down", "status"),
    "deploy.demo.run": ("demo",),
    "deploy.commands.token": ("token",),
    "deploy.commands.receipt": ("receipt",),
    "deploy.commands.topics": ("topics",),
    "deploy.commands.recover": ("recover",),
    "deploy.verify.main": ("verify",),
    "deploy.contracts.main": ("contracts",),
    "deploy.commands.diagram": ("diagram",),
    "deploy.commands.webhook": ("webhook",),
    "connectors.filedrop.cli": ("feed",),
}

app = typer.Typer(
    help="Liandong (联动): exchange fraud and illicit-finance signals, and follow each one to its outcome.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _describe_program() -> None:
    """Liandong (联动)."""


def _is_there(module: str) -> bool:
    """Whether the module exists, without hiding an error inside of it."""
    parent, _, _ = module.rpartition(".")
    return find_spec(parent) is not None and find_spec(module) is not None


def _select_modules(arguments: list[str]) -> list[str]:
    """Returns the modules that these arguments need; all of them for the help and for unknown commands."""
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    return [module for module, commands in MODULES.items() if first in commands] or list(MODULES)


for _module in filter(_is_there, _select_modules(sys.argv[1:])):
    import_module(_module).register(app)
