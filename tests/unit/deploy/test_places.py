"""Folders of a profile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.local.errors import LauncherError
from deploy.local.paths import Places, cache_dir, default_home, project_root


def test_home_and_cache_are_in_the_project_unless_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIANDONG_HOME", raising=False)
    monkeypatch.delenv("LIANDONG_CACHE", raising=False)
    assert default_home() == project_root() / ".liandong"
    assert cache_dir() == default_home() / "cache"
    monkeypatch.setenv("LIANDONG_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.setenv("LIANDONG_CACHE", str(tmp_path / "elsewhere"))
    assert cache_dir() == tmp_path / "elsewhere"


@pytest.mark.parametrize("name", ["", "cache", "../up", "Demo", "a b", ".hidden"])
def test_a_profile_cannot_be_named_like_that(name: str, tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="is not a valid profile name"):
        Places.of(name, tmp_path)


def test_only_the_owner_can_look_into_a_profile(tmp_path: Path) -> None:
    places = Places.of("test", tmp_path)
    places.make()
    assert places.root.stat().st_mode & 0o077 == 0


def test_a_full_disk_is_an_error_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 5 << 20))  # type: ignore[attr-defined]
    with pytest.raises(LauncherError, match="5 MB of disk space are free"):
        Places.of("test", tmp_path).make()


def test_a_home_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LauncherError, match="cannot make"):
        Places.of("test", tmp_path / "file").make()
