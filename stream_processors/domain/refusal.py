"""Refusals of the core: one form for cases and everything around them."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """A problem slug (docs/reference/errors.md), a sentence for the caller, and the actions allowed to it."""

    problem: str
    why: str
    allowed_transitions: tuple[str, ...] = ()
