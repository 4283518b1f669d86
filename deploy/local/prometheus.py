"""One real Prometheus beside the stack: the program, its configuration from the committed one, and its command line.

The program: `LIANDONG_PROMETHEUS`, one on PATH, else the one in the cache, which `fetch` downloads from the distribution's own
package, without root. Invariant: it scrapes the running processes and evaluates the committed rules; nothing depends on it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml

from deploy.local.errors import LauncherError
from deploy.local.paths import Places, cache_dir
from deploy.local.ports import LOCALHOST
from deploy.local.tokens import ensure_scrape_token

COMMITTED = Path(__file__).parents[1] / "prometheus"
SCRAPE_S = 5.0
KEPT_DAYS = 15
GATEWAY_JOB, WORKER_JOB = "liandong-gateway", "liandong-worker"
FETCH_TIMEOUT_S = 300
_PACKAGE = "prometheus"
_WANTED = ("./usr/bin/prometheus", "./usr/bin/promtool", "./usr/share/prometheus/web/")


def find() -> Path | None:
    """Returns the program if there is one, without a download. LauncherError if a configured one does not run."""
    if named := os.environ.get("LIANDONG_PROMETHEUS"):
        if not _can_run(Path(named)):
            raise LauncherError(f"LIANDONG_PROMETHEUS={named} does not run", "change or unset it")
        return Path(named)
    on_path = shutil.which("prometheus")
    return next(
        (program for program in (Path(on_path or ""), _cache_folder() / "prometheus") if program.is_file() and _can_run(program)),
        None,
    )


def find_or_fetch(say: Callable[[str], None] = lambda line: None) -> Path:
    """Returns the program, downloaded if necessary. LauncherError explains why there can be none."""
    return find() or fetch(say)


def promtool(program: Path) -> Path | None:
    """The checker that comes with the program."""
    beside = program.resolve().with_name("promtool")
    checker = beside if beside.is_file() else shutil.which("promtool")
    return Path(checker) if checker else None


def fetch(say: Callable[[str], None] = lambda line: None) -> Path:
    """Unpacks the distribution's package into the cache (about 100 MB), with package lists of its own there."""
    tools = [shutil.which(name) for name in ("apt-get", "dpkg-deb")]
    if None in tools:
        raise LauncherError(
            f"Prometheus is not installed, and without apt on {sys.platform} it cannot be downloaded",
            "install it (macOS: brew install prometheus), or set LIANDONG_PROMETHEUS",
        )
    say("downloading Prometheus from the packages of the distribution")
    _cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_cache_folder(), prefix="fetch-") as name:
        folder = Path(name)
        _run_apt(folder, "update")
        _run_apt(folder, "download", _PACKAGE)
        packages = sorted(folder.glob(f"{_PACKAGE}_*.deb"))
        if not packages:
            raise LauncherError(f"apt-get found no package {_PACKAGE}", "install Prometheus, or set LIANDONG_PROMETHEUS")
        _unpack_package(packages[0], folder)
        with contextlib.suppress(OSError):  # no pages in this package, or they are there
            (folder / "web").rename(_cache_folder() / "web")
        for tool in ("promtool", "prometheus"):  # the one that is looked for comes last
            (folder / tool).replace(_cache_folder() / tool)
    program = _cache_folder() / "prometheus"
    if not _can_run(program):
        raise LauncherError(f"{program} of the package does not run here", "install Prometheus, or set LIANDONG_PROMETHEUS")
    return program


def _cache_folder() -> Path:
    return cache_dir() / "prometheus"


def _run_apt(folder: Path, *command: str) -> None:
    """Runs apt-get with its lists and archives in a folder of ours: needs no root and leaves the system's lists alone."""
    for subfolder in ("lists/partial", "archives/partial"):
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "Dir::Cache::archives": folder / "archives",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": 3,
        "Debug::NoLocking": "true",
    }
    argv = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items()), *command]
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise LauncherError(f"apt-get {' '.join(command)} took over {FETCH_TIMEOUT_S} s", "check the network") from None
    if done.returncode:
        last_lines = "\n".join(f"  | {line}" for line in (done.stdout + done.stderr).splitlines()[-8:])
        hint = "check the network, or set LIANDONG_PROMETHEUS"
        raise LauncherError(f"apt-get {' '.join(command)} failed:\n{last_lines}", hint)


def _unpack_package(package: Path, folder: Path) -> None:
    """Unpacks the programs and the pages, plain files only."""
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as files,
    ):
        for member in files:
            content = files.extractfile(member) if member.isfile() and member.name.startswith(_WANTED) else None
            if content is not None and ".." not in member.name:
                target = folder / member.name.removeprefix("./usr/bin/").removeprefix("./usr/share/prometheus/")
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as out:
                    shutil.copyfileobj(content, out)
                target.chmod(member.mode & 0o755)


def _can_run(program: Path) -> bool:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "prometheus" in done.stdout + done.stderr


def command(places: Places, port: int, program: Path) -> list[str]:
    argv = [
        str(program),
        f"--config.file={places.prometheus / 'prometheus.yml'}",
        f"--storage.tsdb.path={places.prometheus / 'data'}",
        f"--storage.tsdb.retention.time={KEPT_DAYS}d",
        f"--web.listen-address={LOCALHOST}:{port}",
        "--log.level=warn",
    ]
    pages = program.resolve().with_name("web")  # Debian's program keeps its pages beside it
    return [*argv, f"--web.local-assets={pages}"] if pages.is_dir() else argv


def configure(places: Places, scrape_s: float = SCRAPE_S) -> None:
    """Writes `prometheus.yml`: the committed one, with paths of the rules, and targets from files."""
    config = yaml.safe_load((COMMITTED / "prometheus.yml").read_text("utf-8"))
    config["global"] |= {name: f"{int(scrape_s * 1000)}ms" for name in ("scrape_interval", "evaluation_interval")}
    config["rule_files"] = [str(COMMITTED / rule_file) for rule_file in config["rule_files"]]
    for job in config["scrape_configs"]:
        del job["static_configs"]
        if job["job_name"] == GATEWAY_JOB:
            job["authorization"] = {"credentials_file": str(ensure_scrape_token(places.root))}
        job["file_sd_configs"] = [{"files": [str(places.prometheus / f"{job['job_name']}.json")]}]
    places.prometheus.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_file(places.prometheus / "prometheus.yml", yaml.safe_dump(config, sort_keys=False))


def aim(places: Places, ports: Mapping[str, int], workers: Iterable[str], gateway: bool) -> None:
    """Writes the targets, which a running Prometheus reads again when they change."""
    targets = {WORKER_JOB: list(workers), GATEWAY_JOB: ["gateway"] if gateway else []}
    for job, names in targets.items():
        target_groups = [{"targets": [f"{LOCALHOST}:{ports[name]}"], "labels": {"process": name}} for name in names]
        _write_file(places.prometheus / f"{job}.json", json.dumps(target_groups, indent=1) + "\n")


def _write_file(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text, "utf-8")
    partial.replace(path)
