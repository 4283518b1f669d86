"""Locations: the project, the home, the cache, and the folders of a profile.

`LIANDONG_HOME` moves the home (default `.liandong` in the project), `LIANDONG_CACHE` the cache (default `cache` in it).
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LauncherError
from schemas.security.private_files import make_private_folder

NEED_MB = 700
_PROFILE = re.compile(r"[a-z][a-z0-9-]{0,31}")


def project_root() -> Path:
    """Returns the checkout, or the current folder if Liandong is installed as a package."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else Path.cwd()


def default_home() -> Path:
    return Path(os.environ.get("LIANDONG_HOME") or project_root() / ".liandong").absolute()


def cache_dir() -> Path:
    """Immutable downloads, shared by all profiles and all homes of this process."""
    return Path(os.environ.get("LIANDONG_CACHE") or default_home() / "cache").absolute()


@dataclass(frozen=True)
class Places:
    """The folders of one profile."""

    home: Path
    profile: str

    @classmethod
    def of(cls, profile: str, home: Path | None = None) -> Places:
        if not _PROFILE.fullmatch(profile) or profile == "cache":
            raise LauncherError(f"'{profile}' is not a valid profile name", "use lower-case letters, digits and dashes")
        return cls((home or default_home()).absolute(), profile)

    @property
    def root(self) -> Path:
        return self.home / self.profile

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def prometheus(self) -> Path:
        return self.root / "prometheus"

    @property
    def ports(self) -> Path:
        return self.root / "ports.json"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def keys(self) -> Path:
        return self.root / "keys.json"

    @property
    def waiting(self) -> Path:
        return self.root / "waiting"

    @property
    def store_access(self) -> Path:
        return self.root / "redis-access.json"

    def make(self) -> None:
        """Creates the folders, for the owner only (they contain keys), and checks the disk space."""
        for folder in (self.root, self.logs, self.kafka, self.redis):
            try:
                make_private_folder(folder)
            except OSError as error:
                raise LauncherError(
                    f"cannot make {folder}: {error.strerror}", "set LIANDONG_HOME to a writable folder"
                ) from error
        free_mb = shutil.disk_usage(self.root).free // 2**20
        if free_mb < NEED_MB:
            raise LauncherError(
                f"{free_mb} MB of disk space are free at {self.root}, but {NEED_MB} MB are required",
                "free some space, or set LIANDONG_HOME to a folder on another disk",
            )

    def wipe(self) -> None:
        """Removes data, logs, keys and ports. The processes must be down."""
        shutil.rmtree(self.root, ignore_errors=True)
