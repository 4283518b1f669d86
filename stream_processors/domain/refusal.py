"""How the core refuses: one form for the cases and everything that happens around them."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """A problem slug (docs/errors.md) and a sentence for whoever asked."""

    problem: str
    why: str
