"""Rebuilds the state from the log in an empty Redis and compares it with the live one, stage by stage, key by key."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from deploy.local.stack import Stack
from stream_processors.recovery.rebuild import digest_of, rebuild, snapshot
from stream_processors.runtime.settings import Settings
from stream_processors.topology import all_stages


class StageDigest(NamedTuple):
    """One stage: digests of both, the number of keys, and the differing keys with both texts (None: missing)."""

    stage: str
    live: str
    fresh: str
    keys: int
    folded: int
    differing: list[tuple[str, str | None, str | None]]

    @property
    def same(self) -> bool:
        return self.live == self.fresh


async def compare_with_rebuilt(settings: Settings, say: Callable[[str], None] = lambda line: None) -> list[StageDigest]:
    """The live state must be idle. The temporary Redis ends with this call."""
    temporary = Stack(f"verify-{os.getpid()}", services=("redis",), redis_fsync="no", bound=True, external=False)
    try:
        temporary.up()
        folded = await rebuild(settings, temporary.redis_url, told=say)
        at_ms, policy = time.time_ns() // 1_000_000, settings.policy()
        digests = []
        for stage in all_stages(settings.raw_institutions):
            live = await snapshot(settings.redis_url, stage, at_ms, policy)
            fresh = await snapshot(temporary.redis_url, stage, at_ms, policy)
            differing = [
                (key, live.get(key), fresh.get(key)) for key in sorted({*live, *fresh}) if live.get(key) != fresh.get(key)
            ]
            digests.append(StageDigest(stage, digest_of(live), digest_of(fresh), len(live), folded[stage], differing))
        return digests
    finally:
        temporary.down(wipe=True)
