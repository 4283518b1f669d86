"""A newer version of the system as a tree of its own: a copy of the packages in which every record has one member more.

The member has a default and the copy writes it, so its records tell which version made them. A process of that version is
started with `env(folder)`; nothing of it is found in the present tree, or the other way round.
"""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

from deploy.local.paths import project_root

PACKAGES = ("schemas", "stream_processors", "gateway")
MEMBER, VALUE = "of_tomorrow", "written by the newer version"


def newer(folder: Path) -> dict[str, str]:
    """Makes the tree; the environment of its processes."""
    for package in PACKAGES:
        shutil.copytree(project_root() / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    changed = [name for path in sorted((folder / "schemas").rglob("*.py")) for name in _grown(path)]
    assert {"SubmittedSignal", "AssessedSignal", "Action", "Case", "CaseChange", "JoinedSignal", "Subject"} <= set(changed)
    # Safe path and app dir: else the folder that the process is started in, the present tree, would come first.
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1", "UVICORN_APP_DIR": str(folder)}


def _grown(path: Path) -> list[str]:
    """Adds the member to each record of a module; their names."""
    lines = path.read_text("utf-8").splitlines()
    records = [
        node
        for node in ast.parse("\n".join(lines)).body
        if isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and base.id == "Stored" for base in node.bases)
    ]
    for record in reversed(records):
        last = max(node.end_lineno or 0 for node in record.body if isinstance(node, ast.AnnAssign))
        lines.insert(last, f'    {MEMBER}: str | None = "{VALUE}"')
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return [record.name for record in records]
