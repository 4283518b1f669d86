"""One real Redis: which program, its command line, and whether it answers.

The program: `LIANDONG_REDIS_SERVER`, a `redis-server` 7+ on PATH, else the one in the Maven jar embedded-redis (6.2).
Invariant: append-only file on, no eviction, 127.0.0.1 only.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

from deploy.local.errors import LauncherError
from deploy.local.jars import Progress, fetch
from deploy.local.places import Places, cache_dir
from deploy.local.ports import LOCALHOST

OLDEST_ON_PATH = 7
# What the jar carries. The 386 one is static: it runs where the amd64 one lacks OpenSSL 3.
_IN_JAR = {
    ("linux", "x86_64"): ("redis-server-6.2.6-v5-linux-amd64", "redis-server-6.2.7-linux-386"),
    ("linux", "aarch64"): ("redis-server-6.2.7-linux-arm64",),
    ("darwin", "x86_64"): ("redis-server-6.2.6-v5-darwin-amd64",),
    ("darwin", "arm64"): ("redis-server-6.2.6-v5-darwin-arm64",),
}


def find_redis(progress: Progress | None = None) -> Path:
    if named := os.environ.get("LIANDONG_REDIS_SERVER"):
        if not version(Path(named)):
            raise LauncherError(f"LIANDONG_REDIS_SERVER={named} does not run", "name another or unset it")
        return Path(named)
    found = shutil.which("redis-server")
    if found and version(Path(found)) >= (OLDEST_ON_PATH,):
        return Path(found)
    return _from_jar(progress)


def version(program: Path) -> tuple[int, ...]:
    """() when it does not run here."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    said = re.search(r"v=(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(map(int, said.groups())) if said else ()


def _from_jar(progress: Progress | None) -> Path:
    names = _IN_JAR.get((sys.platform, platform.machine()), ())
    for name in names:
        program = cache_dir() / "redis" / name
        if not program.exists():
            _extract(fetch("redis", progress)[0], name, program)
        if version(program):
            return program
    raise LauncherError(
        f"there is no ready-made Redis for {sys.platform} {platform.machine()}",
        "install Redis 7 or newer (Debian/Ubuntu: apt install redis-server; macOS: brew install redis),\n"
        "  or name one with LIANDONG_REDIS_SERVER, or a running one with REDIS_URL",
    )


def _extract(jar: Path, name: str, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    partial = program.with_name(f"{name}.{os.getpid()}")
    with zipfile.ZipFile(jar) as archive:
        partial.write_bytes(archive.read(name))
    partial.chmod(0o755)
    partial.replace(program)


def command(places: Places, port: int, program: Path, *, fsync: str = "everysec") -> list[str]:
    """The command line. `fsync` is Redis' appendfsync: always, everysec or no."""
    options = {
        "port": str(port),
        "bind": LOCALHOST,
        "protected-mode": "yes",
        "dir": str(places.redis),
        "appendonly": "yes",
        "appendfsync": fsync,
        "save": "",
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
        "hash-max-ziplist-value": "1024",  # small values share hashes (docs/operations.md)
        "daemonize": "no",
        "databases": "16",
    }
    return [str(program), *(piece for name, value in options.items() for piece in (f"--{name}", value))]


def answers(port: int) -> bool:
    """Whether it serves: while it reads its file back it answers with LOADING."""
    try:
        with socket.create_connection((LOCALHOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
