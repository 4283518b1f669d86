"""The ways to break it, by name. Each takes the scene, breaks one thing under load, and returns what it did, in a sentence."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from deploy.local.errors import LauncherError
from deploy.local.stack import Stack
from stream_processors.runtime.crash_points import POINTS
from stream_processors.topology import STAGES
from tests.chaos.traffic import Load

AGENTS = ("assess", "track", "timekeeper", "deliver", "webhook", "oversee", "project")
APPS = [f"{agent}-{n}" for agent in AGENTS for n in (0, 1)] + ["gateway"]
CRASH_POINTS = [name for name in POINTS if not name.startswith("intake.")]
"""Nobody writes raw here; these points are hit in tests/unit/agents."""
FOLDING = tuple(agent for agent in AGENTS if STAGES[agent].streams)
"""Those whose state is folded from the log; the others have only places to restore, and pass no point of a fold."""
PROCESSES = {"retract": "assess", "calls": "webhook"}
"""The process of a point's part, where it has another name."""
HIT_TIMEOUT_S = 120.0
NOT_RUN = "NOT RUN"
RARE = ("deliver.found", "deliver.followed", "webhook.found")
"""Passed at an assignment alone, or where a case hands over to another: the first time counts."""
FAKETIME = [Path("/usr/lib", folder, "faketime/libfaketimeMT.so.1") for folder in ("x86_64-linux-gnu", "aarch64-linux-gnu", "")]


@dataclass
class Scene:
    """What a break works on."""

    stack: Stack
    load: Load
    rng: random.Random
    folder: Path
    told: Callable[[str], None]
    hits: list[str] = field(default_factory=list)


def crash_point(scene: Scene, name: str, nth: int, how: str = "") -> str:
    """Arms one point in one process, waits until it is hit, and until the process is back."""
    process = process_of(name, scene.rng)
    latch = scene.folder / f"hit-{name}-{len(scene.hits)}"
    before = scene.stack.process(process)["pid"]
    stopped = [process]
    if name.startswith("restore."):  # with the other worker at work, it might restore first
        stopped.append(f"{process[:-1]}{1 - int(process[-1])}")
    if name.startswith("restore.") or name in RARE:
        nth = 1
    for one in stopped:
        scene.stack.stop_one(one, grace_s=0)
    if name.startswith("restore."):
        _flush(scene)  # so that there is something to restore
    scene.stack.start_one(process, env={"LIANDONG_CRASH": f"{name}@{nth}@{latch}{how}"}, wait=False)
    deadline = time.monotonic() + HIT_TIMEOUT_S
    while not latch.exists():
        if time.monotonic() > deadline:
            raise AssertionError(
                f"the crash point {name} was not hit within {HIT_TIMEOUT_S:.0f} s in {process} (was pid {before})"
            )
        time.sleep(0.02)
    scene.hits.append(name)
    for one in stopped[1:]:
        scene.stack.start_one(one, wait=False)
    return f"{process} {'raised' if how else 'died'} at {name} ({POINTS[name]})"


def process_of(point: str, rng: random.Random) -> str:
    stage = point.partition(".")[0]
    if stage == "gateway":
        return "gateway"
    if stage in PROCESSES:
        return f"{PROCESSES[stage]}-{rng.randrange(2)}"
    return f"{rng.choice(FOLDING) if stage == 'restore' else stage}-{rng.randrange(2)}"


def raises(scene: Scene) -> str:
    """An agent that raises ends its process; nothing is acknowledged by the way."""
    return crash_point(scene, scene.rng.choice(["assess.decided", "track.recorded", "project.polled"]), 2, "@raise")


def any_process(scene: Scene) -> str:
    """SIGKILL to a worker or the gateway."""
    name = scene.rng.choice(APPS)
    try:
        scene.stack.kill(name)
    except LauncherError:
        return f"{name} was down already"
    return f"killed {name}"


def broker(scene: Scene) -> str:
    scene.stack.kill("kafka")
    scene.stack.wait_ready("kafka", 60)
    return "killed the broker"


def redis(scene: Scene) -> str:
    scene.stack.kill("redis")
    scene.stack.wait_ready("redis", 30)
    return "killed Redis"


def redis_older(scene: Scene) -> str:
    """Redis comes back with the append-only files of some seconds ago."""
    live = scene.stack.places.redis / "appendonlydir"
    older = scene.folder / "older"
    shutil.copytree(live, older, dirs_exist_ok=True)
    time.sleep(3)
    scene.stack.stop_one("redis", grace_s=0)
    shutil.rmtree(live)
    shutil.move(older, live)
    scene.stack.start_one("redis")
    return "put Redis back by three seconds"


def flush(scene: Scene) -> str:
    _flush(scene)
    return "emptied Redis under load"


def _flush(scene: Scene) -> None:
    with Redis.from_url(scene.stack.redis_url) as client:
        client.flushall()


def zombie(scene: Scene) -> str:
    """A worker stands still past its session, others take over, then it wakes in the middle of its step."""
    name = f"{scene.rng.choice(('assess', 'track'))}-{scene.rng.randrange(2)}"
    pid = scene.stack.kill(name, signal.SIGSTOP)
    time.sleep(10)
    os.kill(pid, signal.SIGCONT)
    return f"stopped {name} for 10 s, past its session of 6 s"


def rebalance(scene: Scene) -> str:
    """A worker leaves for good and comes back: two assignments under load."""
    name = f"{scene.rng.choice(AGENTS)}-1"
    scene.stack.stop_one(name)
    time.sleep(8)
    scene.stack.start_one(name, wait=False)
    return f"{name} left and came back"


def poison(scene: Scene) -> str:
    """Records that nobody of ours would write, into every topic, the fact topics included (an append by another owner)."""
    from tests.chaos.poison import pour

    n = asyncio.run(pour(scene.stack.kafka_bootstrap, scene.rng.getrandbits(32)))
    return f"poured {n} poison records into all topics"


def clock(scene: Scene) -> str:
    """Processes really see another time (libfaketime): three hours ahead, three behind, then right again."""
    library = next((path for path in FAKETIME if path.exists()), None)
    if library is None:
        return f"{NOT_RUN}: a shifted clock needs libfaketime (Debian: apt-get install libfaketime), it is not on this machine"
    names = [f"{scene.rng.choice(AGENTS)}-0", "gateway", "redis"]
    for shift in ("+3h", "-3h", ""):
        env = {"LD_PRELOAD": str(library), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"} if shift else {}
        for name in names:
            if name == "gateway" and shift == "-3h":
                continue  # a gateway that lives before its tokens were made refuses them, rightly
            scene.stack.stop_one(name, grace_s=0)
            scene.stack.start_one(name, env=env)
        time.sleep(2)
    return f"shifted the clock of {', '.join(names)} by three hours, both ways"


BREAKS: dict[str, Callable[[Scene], str]] = {
    "kill": any_process,
    "raise": raises,
    "broker": broker,
    "redis": redis,
    "redis-older": redis_older,
    "flush": flush,
    "zombie": zombie,
    "rebalance": rebalance,
    "poison": poison,
    "clock": clock,
}
