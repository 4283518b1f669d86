"""peers: the work of ../shared/peers on ours and on what a user would pick instead, in one run, every output digest-checked.

Invariant: a title says how many processes or threads an engine has. Ours runs two worker processes where Kafka Streams has two
threads, over the same partitions and cores; one process of ours is told beside it, for stock Faust and Bytewax run as one.
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

from deploy.bench.figures import AtLeast, Figure, NotRun, Row
from deploy.bench.setting import Setting
from deploy.local.places import cache_dir, project_root

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
"""Engines that need minutes a run are taken this often at most."""
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
        mine = f"{sys.executable} -m deploy.bench.peers_work"
        addresses = {"BROKER": stack.kafka_bootstrap, "REDIS_URL": stack.redis_url, "KAFKA_PID": str(stack.pid("kafka"))}
        (Path(env["PEERS_WORK"]) / "ref-peer-in.json").unlink(missing_ok=True)
        rates = {
            name: _rates(folder, name, min(setting.runs, SLOW.get(name, 99)), env | addresses | {"CMD": mine}, setting)
            for name in ENGINES
        }
    return _rows(rates)


def _rows(rates: Mapping[str, list[float]]) -> list[Row]:
    ours = median(rates["ours"])
    rows: list[Row] = []
    for name, factor in TARGETS.items():
        theirs = median(rates[name])
        ratios = [one / theirs for one in rates["ours"]]
        rows.append(Figure("peers", f"over {ENGINES[name]}", "x", ratios, AtLeast(factor), {ENGINES[name]: theirs}))
    beside = {ENGINES[name]: median(found) for name, found in rates.items() if name != "ours"}
    rows.append(Figure("peers", f"the peers' work: {ENGINES['ours']}", "signals/s", rates["ours"], against=beside))
    one_over = [one / median(rates["faust"]) for one in rates["ours-one"]]
    rows.append(Figure("peers", f"{ENGINES['ours-one']}, over {ENGINES['faust']}", "x", one_over))
    rows.append(Figure("peers", f"over {ENGINES['bytewax']}", "x", [ours / median(rates["bytewax"])]))
    return rows


def _rates(folder: Path, name: str, runs: int, env: Mapping[str, str], setting: Setting) -> list[float]:
    """Signals a second of each run; RuntimeError when an output was not as it must be."""
    command = ["bash", "run.sh", name, f"{runs} --procs {PROCESSES.get(name, 1)}"]  # run.sh hands its second word on unquoted
    done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True)
    found: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"name"')]
    counted = [row for row in found if row["run"] > 0]
    if done.returncode or len(counted) < runs or not all(row["correct"] for row in counted):
        raise RuntimeError(f"{name}: a run failed or its output was wrong:\n{(done.stdout + done.stderr)[-2000:]}")
    rates = [float(row["rps"]) for row in counted]
    setting.said(f"peers: {name}: {', '.join(f'{rate:,.0f}' for rate in rates)} signals/s, every output right")
    return rates


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
