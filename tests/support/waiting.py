"""Waiting for what the stages bring about, in tests over real processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from stream_processors.views.reading import Rebuilding


async def until(what: str, holds: Callable[[], Awaitable[Any]], wait_s: float) -> Any:
    """What `holds` gives as soon as it is true; views that are being rebuilt are asked again."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        try:
            if found := await holds():
                return found
        except Rebuilding:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {wait_s} s: {what}")
