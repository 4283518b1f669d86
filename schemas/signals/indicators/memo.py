"""A memory for forms that cost tens of microseconds, because the same number is reported again and again.

Invariant: it is bounded in entries and bytes for any input, because only short texts are remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

ENTRIES = 16384
LONGEST = 128

Answer = TypeVar("Answer")


def remembered(function: Callable[[str], Answer]) -> Callable[[str], Answer]:
    """Returns `function` with a memory. Refusals (ValueError) are computed each time."""
    cached = lru_cache(maxsize=ENTRIES)(function)

    @wraps(function)
    def look_up(text: str) -> Answer:
        return cached(text) if len(text) <= LONGEST else function(text)

    return look_up
