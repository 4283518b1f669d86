"""`python -m tests.oracle`: verifies a running system and holds it against its senders' ledgers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deploy.verify.main import Ledgers, Profile, Timeout, run_verification
from tests.oracle.verify import verify


def command(
    profile: Profile = "demo",
    ledger: Ledgers = None,
    partial: Annotated[bool, typer.Option(help="Others sent too: do not look at upper bounds.")] = False,
    undisturbed: Annotated[bool, typer.Option(help="Nothing was killed: the narrowest bounds.")] = False,
    timeout: Timeout = 120.0,
) -> None:
    """Fold the log into a fresh Redis and compare; compare with what the ledgers demand. Exit code 1 when something differs."""
    is_partial = partial or not ledger
    run_verification(
        profile, ledger, lambda stack, paths, console: verify(stack, paths, is_partial, undisturbed, timeout, console)
    )


if __name__ == "__main__":
    sys.argv[0] = "python -m tests.oracle"
    typer.run(command)
