"""One run of the rebuild bench, in a fresh process."""

from __future__ import annotations

import time

import uvloop

from deploy.bench.setting import answer, request
from stream_processors.rebuild import rebuild
from stream_processors.settings import Settings

if __name__ == "__main__":
    asked, began = request(), time.perf_counter()
    folded = uvloop.run(rebuild(Settings(), asked["redis_url"]))
    answer({"folded": folded, "seconds": time.perf_counter() - began})
