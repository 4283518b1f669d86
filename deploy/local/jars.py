"""The Java archives: downloaded from Maven Central once, checked against the committed lock, then used from the cache.

A lock line is `group:artifact:version sha256 bytes`. `python -m deploy.local.jars` resolves the roots below again (with jgo's
pure-Python resolver) and writes the lock. `LIANDONG_MAVEN_REPO` names a mirror.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.bootstrap import certificates
from deploy.local.errors import LauncherError
from deploy.local.paths import cache_dir

KAFKA_VERSION = "4.1.1"
ROOTS = {
    "kafka": (
        f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",
        "org.apache.logging.log4j:log4j-core:2.24.3",
    ),
}
MAVEN_CENTRAL = "https://repo1.maven.org/maven2"
TRIES = 3

# (bytes that arrived, bytes in all)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Jar:
    coordinate: str
    sha256: str
    size: int

    @property
    def path(self) -> Path:
        group, artifact, version = self.coordinate.split(":")
        return _jar_store() / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.jar"

    def is_whole(self) -> bool:
        return self.path.is_file() and self.path.stat().st_size == self.size

    def matches(self) -> bool:
        return self.is_whole() and _hash_file(self.path) == self.sha256


def lock_file(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.lock")


def locked(name: str) -> list[Jar]:
    """Returns the jars of a lock in classpath order."""
    lines = [line.split() for line in lock_file(name).read_text().splitlines() if line and not line.startswith("#")]
    return [Jar(coordinate, sha256, int(size)) for coordinate, sha256, size in lines]


def fetch(name: str, progress: Progress | None = None) -> list[Path]:
    """Returns the paths of the lock's jars, and downloads missing ones. A checked jar is trusted by its size from then on."""
    jars = locked(name)
    if not all(jar.is_whole() for jar in jars):
        with _one_at_a_time():
            _fetch_missing([jar for jar in jars if not jar.matches()], progress)
    return [jar.path for jar in jars]


def _fetch_missing(missing: list[Jar], progress: Progress | None) -> None:
    total, came = sum(jar.size for jar in missing), 0

    def count(size: int) -> None:
        nonlocal came
        came += size
        if progress:
            progress(came, total)

    with ThreadPoolExecutor(6) as pool:
        for _ in pool.map(lambda jar: _fetch_one(jar, count), missing):
            pass


def _fetch_one(jar: Jar, count: Callable[[int], None]) -> None:
    for attempt in range(1, TRIES + 1):
        jar.path.unlink(missing_ok=True)
        try:
            _find_artifact(_open_context(count), jar.coordinate).resolve()
        except (OSError, RuntimeError) as error:  # jgo's own and requests' (an OSError)
            if attempt == TRIES:
                raise LauncherError(
                    f"cannot fetch {jar.coordinate} from {_repository_url()}: {error}",
                    "the first start needs the network (LIANDONG_MAVEN_REPO, HTTPS_PROXY and SSL_CERT_FILE are respected)",
                ) from error
            time.sleep(attempt)
            continue
        if jar.matches():
            return
        jar.path.unlink(missing_ok=True)
    raise LauncherError(
        f"{jar.coordinate} from {_repository_url()} does not have the checksum that the lock gives", "do not use that mirror"
    )


def _repository_url() -> str:
    return os.environ.get("LIANDONG_MAVEN_REPO", MAVEN_CENTRAL).rstrip("/")


def _jar_store() -> Path:
    return cache_dir() / "m2"


def _open_context(count: Callable[[int], None] | None = None) -> Any:
    """The context of jgo, which writes only inside of our cache."""
    if bundle := certificates():
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)
    os.environ.setdefault("M2_REPO", str(_jar_store()))
    os.environ.setdefault("JGO_CACHE_DIR", str(cache_dir() / "jgo"))
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def callback(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield count or (lambda _: None)

    resolver = PythonResolver(progress_callback=callback)
    return MavenContext(
        resolver=resolver, repo_cache=_jar_store(), local_repos=[], remote_repos={"central": _repository_url()}, timeout=60
    )


def _find_artifact(context: Any, coordinate: str) -> Any:
    group, artifact, version = coordinate.split(":")
    return context.project(group, artifact).at_version(version).artifact()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two concurrent starts must not write the same file."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _hash_file(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_lock(name: str) -> None:
    """Resolves the roots with their dependencies and writes the lock. Of two versions the earlier root's stays.

    Each root is resolved by itself: jgo would let one root's managed versions (log4j names an old kafka-clients) rule another's.
    """
    context = _open_context()
    chosen: dict[str, str] = {}
    for root in ROOTS[name]:
        for coordinate in _resolve_closure(context, root):
            chosen.setdefault(coordinate.rpartition(":")[0], coordinate)
    lines = ["# Written by `python -m deploy.local.jars`: group:artifact:version sha256 bytes"]
    for coordinate in chosen.values():
        path = _find_artifact(context, coordinate).resolve()
        lines.append(f"{coordinate} {_hash_file(path)} {path.stat().st_size}")
    lock_file(name).write_text("\n".join(lines) + "\n")


def _resolve_closure(context: Any, root: str) -> list[str]:
    roots, transitive = context.resolver.resolve([context.create_dependency(f"{root}:compile")])
    needed = [*roots, *(dependency for dependency in transitive if dependency.scope in ("compile", "runtime"))]
    return [f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}" for artifact in needed]


if __name__ == "__main__":
    for _name in ROOTS:
        write_lock(_name)
