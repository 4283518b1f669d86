"""peers: the work of ../shared/peers on ours and on what a user would pick instead, in one run, every output digest-checked.

Invariant: a title says how many processes or threads an engine has. Ours runs two worker processes where Kafka Streams has two
threads, over the same partitions and cores; one process of ours is told beside it, for stock Faust and Bytewax run as one.
The engines take turns, and a ratio is of one round: a shared machine has phases, and they move the JVM more than Python.
Needs the folder of the peers, uv, Maven with a JDK 17+, and a Python that Bytewax has a wheel for; says what is missing.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from deploy.local.paths import cache_dir, project_root
from tests.bench.figures import AtLeast, Figure, NotRun, Row
from tests.bench.harness import Setting

ENGINES: dict[str, str] = {
    "ours": "Liandong, two worker processes, all laws of the state",
    "ours-one": "Liandong, one worker process",
    "ks-eos": "Kafka Streams exactly_once_v2, two threads",
    "bytewax": "Bytewax with recovery, one worker",
    "faust": "stock faust-streaming, take(500), one process",
}
PROCESSES = {"ours": 2}
"""Worker processes of an engine, where it is not one; a name that run.sh does not know is started by CMD."""
SLOW = {"faust": 2}
"""Rounds of engines that need minutes a run, beside the one for warmth."""
TARGETS = {"ks-eos": 1.3, "faust": 8.0}


class Missing(RuntimeError):
    """What the peers need and this machine has not."""


def run(setting: Setting) -> list[Row]:
    if setting.scale < 1:
        return [NotRun("peers", "all", "the peers' input is 200,000 leads; run it with --scale 1")]
    try:
        folder, env = prepared(setting)
    except Missing as missing:
        return [NotRun("peers", "all", str(missing))]
    with setting.stack("peers", services=("kafka", "redis"), kafka_heap_mb=1024) as stack:
        mine = f"{sys.executable} -m tests.bench.peers_work"
        addresses = {"BROKER": stack.kafka_bootstrap, "REDIS_URL": stack.redis_url, "KAFKA_PID": str(stack.pid("kafka"))}
        (Path(env["PEERS_WORK"]) / "ref-peer-in.json").unlink(missing_ok=True)
        rates: dict[str, list[float]] = {name: [] for name in ENGINES}
        for one in range(setting.runs + 1):  # the first is for warmth
            for name, found in rates.items():
                if one <= SLOW.get(name, one):
                    found.append(_rate(folder, name, env | addresses | {"CMD": mine}))
                    setting.said(f"peers: {'warm' if one == 0 else one}: {name}: {found[-1]:,.0f} signals/s, every output right")
    return _rows({name: found[1:] for name, found in rates.items()})


def _rows(rates: Mapping[str, list[float]]) -> list[Row]:
    rows: list[Row] = []
    for name, factor in TARGETS.items():
        against = {ENGINES[name]: median(rates[name])}
        rows.append(Figure("peers", f"over {ENGINES[name]}", "x", _over(rates, "ours", name), AtLeast(factor), against))
    beside = {ENGINES[name]: median(found) for name, found in rates.items() if name != "ours"}
    rows.append(Figure("peers", f"the peers' work: {ENGINES['ours']}", "signals/s", rates["ours"], against=beside))
    rows.append(Figure("peers", f"{ENGINES['ours-one']}, over {ENGINES['faust']}", "x", _over(rates, "ours-one", "faust")))
    rows.append(Figure("peers", f"over {ENGINES['bytewax']}", "x", _over(rates, "ours", "bytewax")))
    return rows


def _over(rates: Mapping[str, list[float]], one: str, other: str) -> list[float]:
    """The ratio in each round that both ran in."""
    return [ours / theirs for ours, theirs in zip(rates[one], rates[other], strict=False)]


def _rate(folder: Path, name: str, env: Mapping[str, str]) -> float:
    """Signals a second of one run; RuntimeError when an output was not as it must be."""
    command = ["bash", "run.sh", name, f"1 --warm 0 --procs {PROCESSES.get(name, 1)}"]  # run.sh hands its second word on unquoted
    done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True)
    found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"name"')]
    if done.returncode or len(found) != 1 or not found[0]["correct"]:
        raise RuntimeError(f"{name}: a run failed or its output was wrong:\n{(done.stdout + done.stderr)[-2000:]}")
    return float(found[0]["rps"])


def prepared(setting: Setting) -> tuple[Path, dict[str, str]]:
    """A copy of the peers' folder, set up once; the environment of its scripts."""
    source = Path(os.environ.get("LIANDONG_PEERS") or project_root().parent / "shared" / "peers")
    if not (source / "setup.sh").is_file():
        raise Missing(f"the peers' folder is not at {source}; LIANDONG_PEERS says where it is")
    tools = f"{project_root() / '.tools' / 'bin'}:{Path.home() / '.local' / 'bin'}:{os.environ.get('PATH', '')}"
    absent = [name for name in ("uv", "java", "mvn", "time") if shutil.which(name, path=tools) is None]
    if absent:
        raise Missing(f"not on this machine: {', '.join(absent)}")
    folder, work = cache_dir() / "peers" / "src", cache_dir() / "peers" / "work"
    env = {"PATH": tools, "PEERS_WORK": str(work), "PY312": _python_for_bytewax()}
    if not (work / "ready").exists():
        setting.said("peers: setting up the peers (downloads, once)")
        shutil.copytree(source, folder, dirs_exist_ok=True)
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
        done = subprocess.run(["bash", "setup.sh"], cwd=folder, env={**os.environ, **env}, capture_output=True, text=True)
        if done.returncode:
            raise Missing(f"the peers could not be set up:\n{(done.stdout + done.stderr)[-2000:]}")
        (work / "ready").touch()
    return folder, env


def _python_for_bytewax() -> str:
    """Bytewax 0.21 has wheels up to 3.12."""
    if int(platform.python_version_tuple()[1]) < 13:
        return sys.executable
    found = shutil.which("python3.12") or shutil.which("python3.11")
    if found is None:
        raise Missing("Bytewax needs a Python 3.11 or 3.12 on the PATH")
    return found
