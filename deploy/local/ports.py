"""Ports on 127.0.0.1: chosen once for each profile, kept in its `ports.json`, never shared with another profile.

They are below the range of ports for outgoing connections, so a kept port stays ours.
"""

from __future__ import annotations

import fcntl
import json
import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import LauncherError
from deploy.local.paths import Places

LOCALHOST = "127.0.0.1"
RANGE = range(20_000, 32_000)
# Addresses worth remembering, taken when they are free.
PREFERRED = {"demo": {"gateway": 8000}}


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
        return True


def read(places: Places) -> dict[str, int]:
    try:
        ports: dict[str, int] = json.loads(places.ports.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise LauncherError(f"{places.ports} cannot be read: {error}", "remove the file, and new ports will be chosen") from error
    return ports


def keep(places: Places, names: Iterable[str]) -> dict[str, int]:
    """Returns the profile's ports by name, and chooses and saves missing ones. Concurrent callers wait for each other."""
    with _hold_lock(places):
        ports = read(places)
        used_ports = set(ports.values()) | _of_other_profiles(places)
        added = False
        for name in names:
            if name not in ports:
                ports[name] = _choose_port(used_ports, PREFERRED.get(places.profile, {}).get(name))
                used_ports.add(ports[name])
                added = True
        if added:
            partial = places.ports.with_suffix(".part")
            partial.write_text(json.dumps(ports, indent=1) + "\n")
            partial.replace(places.ports)
        return ports


@contextmanager
def _hold_lock(places: Places) -> Iterator[None]:
    """One lock for all profiles of a home: two concurrent first starts must not choose the same port.

    Each caller opens the file again, so the lock works between threads as well as between processes.
    """
    with (places.home / ".ports.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_free(places: Places, ports: dict[str, int], names: Iterable[str]) -> None:
    """Raises if something else listens on a kept port of a process that is about to start."""
    for name in names:
        if not is_free(ports[name]):
            raise LauncherError(
                f"port {ports[name]} of {name} (profile {places.profile}) is taken by another program"
                + _describe_listener(ports[name]),
                f"stop that program, or remove {places.ports} to choose new ports",
            )


def _choose_port(used_ports: set[int], preferred: int | None) -> int:
    if preferred is not None and preferred not in used_ports and is_free(preferred):
        return preferred
    for port in random.sample(RANGE, 200):
        if port not in used_ports and is_free(port):
            return port
    raise LauncherError(f"no free port between {RANGE.start} and {RANGE.stop} on {LOCALHOST}")


def _of_other_profiles(places: Places) -> set[int]:
    used_ports: set[int] = set()
    for file in places.home.glob("*/ports.json"):
        if file != places.ports:
            used_ports |= _read_values(file)
    return used_ports


def _read_values(file: Path) -> set[int]:
    try:
        return set(json.loads(file.read_text()).values())
    except (OSError, ValueError):
        return set()  # that profile's own start says what is wrong with it


def _describe_listener(port: int) -> str:
    """Best effort: pid and name of the listener; the system may hide others' processes."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f" (pid {connection.pid}, {psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return ""
