"""The locked Java archives: nothing is used that is not what the lock says, and what is there is not fetched again."""

from __future__ import annotations

import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from deploy.local import jars
from deploy.local.errors import LauncherError

BODY = b"not really a jar" * 1000


class Repository(BaseHTTPRequestHandler):
    """A Maven repository with one body for every jar."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        there = self.path.endswith(".jar")
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(BODY) if there else 0))
        self.end_headers()
        if there:
            self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Repository]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LIANDONG_MAVEN_REPO", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("LIANDONG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "cache" / "m2"))
    monkeypatch.setattr(jars.time, "sleep", lambda _: None)
    Repository.asked.clear()
    return Repository


def lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sha256: str) -> None:
    file = tmp_path / "some.lock"
    file.write_text(f"# comment\norg.one:first:1.0 {sha256} {len(BODY)}\norg.one:second:2.0 {sha256} {len(BODY)}\n")
    monkeypatch.setattr(jars, "lock_file", lambda _: file)


def test_missing_jars_are_fetched_checked_and_given_in_order(
    repository: type[Repository], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock(monkeypatch, tmp_path, hashlib.sha256(BODY).hexdigest())
    seen: list[tuple[int, int]] = []
    paths = jars.fetch("some", lambda came, total: seen.append((came, total)))
    assert [path.name for path in paths] == ["first-1.0.jar", "second-2.0.jar"]
    assert seen[-1] == (2 * len(BODY), 2 * len(BODY))


def test_a_second_time_nothing_is_asked_of_the_network(
    repository: type[Repository], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock(monkeypatch, tmp_path, hashlib.sha256(BODY).hexdigest())
    jars.fetch("some")
    repository.asked.clear()
    jars.fetch("some")
    assert repository.asked == []


def test_a_half_written_jar_is_fetched_again(
    repository: type[Repository], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock(monkeypatch, tmp_path, hashlib.sha256(BODY).hexdigest())
    first = jars.fetch("some")[0]
    first.write_bytes(BODY[:100])
    assert jars.fetch("some")[0].read_bytes() == BODY


def test_a_jar_with_another_checksum_is_not_kept(
    repository: type[Repository], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock(monkeypatch, tmp_path, "0" * 64)
    with pytest.raises(LauncherError, match="does not have the checksum"):
        jars.fetch("some")
    assert not list((tmp_path / "cache").rglob("*.jar"))


def test_no_network_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIANDONG_MAVEN_REPO", "http://127.0.0.1:9")
    monkeypatch.setenv("LIANDONG_CACHE", str(tmp_path))
    monkeypatch.setattr(jars.time, "sleep", lambda _: None)
    lock(monkeypatch, tmp_path, "0" * 64)
    with pytest.raises(LauncherError, match=r"(?s)cannot fetch org\.one.*LIANDONG_MAVEN_REPO"):
        jars.fetch("some")


def test_the_committed_locks_hold_the_version_that_is_named() -> None:
    kafka = {jar.coordinate for jar in jars.locked("kafka")}
    assert set(jars.ROOTS["kafka"]) <= kafka
    assert f"org.apache.kafka:kafka-clients:{jars.KAFKA_VERSION}" in kafka
    assert len({name.rpartition(":")[0] for name in kafka}) == len(kafka), "one version of each"
