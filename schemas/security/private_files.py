"""Files and folders that only their owner may read: keys, passwords, and the folder of a profile.

Invariant: a file appears complete and with mode 0600, or not at all. A private folder has mode 0700, whoever created it.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Creates the folder with mode 0700, and closes an existing folder of ours to others."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.stat()
    if status.st_mode & 0o077 and status.st_uid == os.getuid():
        folder.chmod(0o700)


def write_private_file(path: Path, text: str, *, keep_existing: bool = False) -> None:
    """Writes the file in one step. With `keep_existing`, the first of two writers wins."""
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    if not keep_existing:
        draft.replace(path)
        return
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
