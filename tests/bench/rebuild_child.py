"""One run of the rebuild bench, in a fresh process."""

from __future__ import annotations

import time

import uvloop

from stream_processors.recovery.rebuild import rebuild
from stream_processors.runtime.settings import Settings
from tests.bench.harness import answer, request

if __name__ == "__main__":
    asked, began = request(), time.perf_counter()
    folded = uvloop.run(rebuild(Settings(), asked["redis_url"]))
    answer({"folded": folded, "seconds": time.perf_counter() - began})
