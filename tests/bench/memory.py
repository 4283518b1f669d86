"""memory: what the gateway and the workers hold while a million signals pass, and what Redis keeps of each.

Flat means: no more in the last tenth than in the tenth after the middle, within what one large poll may hold (10 %). No clock
falls due meanwhile: nobody acts on a million signals here, and what a missed duty adds (a fact and its notices) is no signal's.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import yaml
from redis import Redis

from deploy.local.stack import Stack
from deploy.verify.run import settings_of
from deploy.verify.wait_idle import wait_quiet
from stream_processors.runtime.settings import SHIPPED_POLICY
from tests.bench.figures import AtMost, Figure, Row
from tests.bench.harness import Setting
from tests.bench.ingest import feed

SIGNALS = 1_000_000
PROCESSES = ("gateway", "assess-0", "track-0", "timekeeper-0", "deliver-0", "webhook-0", "oversee-0", "project-0")
STARTED = ("acknowledge", "warn", "report")
MIB = 2**20


class Sampler(threading.Thread):
    """Resident memory of each process, twice a second. A process that was started anew breaks the bench."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self._processes = {name: psutil.Process(stack.pid(name)) for name in PROCESSES}
        self._done = threading.Event()
        self.mib: dict[str, list[float]] = {name: [] for name in PROCESSES}

    def run(self) -> None:
        while not self._done.wait(0.5):
            for name, process in self._processes.items():
                self.mib[name].append(process.memory_info().rss / MIB)

    def stop(self) -> None:
        self._done.set()
        self.join()


def run(setting: Setting) -> list[Row]:
    """Once, whatever `runs` says: it takes minutes and its figures hardly vary."""
    count = setting.size(SIGNALS, 3000)
    with tempfile.TemporaryDirectory() as folder, setting.stack("memory", env=_patient(Path(folder))) as stack:
        redis = Redis.from_url(stack.redis_url)
        before, began = _used(redis), time.monotonic()
        sampler = Sampler(stack)
        sampler.start()
        accepted = int(feed(stack, count=count, lines=500, connections=4, seed=1, timeout_s=3000)["accepted"])
        asyncio.run(wait_quiet(settings_of(stack), timeout_s=900))
        took = time.monotonic() - began
        sampler.stop()
        used = _used(redis) - before
        redis.close()
    setting.said(f"memory: {accepted} signals in {took:.0f} s, {accepted / took:,.0f}/s from the POST to the views at rest")
    rows: list[Row] = []
    for name, mib in sampler.mib.items():
        rows.append(Figure("memory", f"{name}: most resident over {count} signals", "MiB", [max(mib)], AtMost(250)))
        rows.append(Figure("memory", f"{name}: last tenth over the tenth after the middle", "x", [_growth(mib)], AtMost(1.1)))
    rows.append(Figure("memory", "Redis, a signal, the gateway's memory included", "bytes", [used / accepted], AtMost(1500)))
    rows.append(Figure("memory", "end to end while measured, everything on", "signals/s", [accepted / took]))
    return rows


def _patient(folder: Path) -> dict[str, str]:
    """The shipped policy, but the clocks that signals start run for two days."""
    policy = yaml.safe_load(SHIPPED_POLICY.read_text("utf-8"))
    for rule in policy["deadlines"]["rules"]:
        if rule["name"] in STARTED:
            rule["length"] = {"hours": 48}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy, allow_unicode=True), "utf-8")
    return {"LIANDONG_POLICY_FILE": str(folder / "policy.yaml")}


def _used(redis: Redis) -> int:
    info: Any = redis.info("memory")
    return int(info["used_memory"])


def _growth(mib: list[float]) -> float:
    tenth = max(1, len(mib) // 10)
    return median(mib[-tenth:]) / median(mib[5 * tenth : 6 * tenth] or mib)
