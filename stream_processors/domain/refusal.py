"""How the core refuses: one form for the cases and everything that happens around them."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """A problem slug (docs/reference/errors.md), a sentence for whoever asked, and the moves that are open to them."""

    problem: str
    why: str
    allowed_transitions: tuple[str, ...] = ()
