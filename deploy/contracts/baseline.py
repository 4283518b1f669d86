"""The contract of the last release, and the accepted breaks of it.

docs/contracts/baseline/<version>/ contains the two documents of each release; the newest counts. accepted.json lists the accepted
breaks since that release with reasons. Invariant: an accepted break that does not exist is an error, too.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from deploy.contracts import asyncapi
from deploy.contracts.breaking import Breaches, of_http, of_log
from deploy.contracts.files import ASYNCAPI, FOLDER, OPENAPI, as_text
from deploy.local.paths import project_root
from gateway.app import ENDPOINTS
from gateway.http.openapi import document

BASELINES = FOLDER / "baseline"
ACCEPTED = BASELINES / "accepted.json"


class NoBaseline(RuntimeError):
    """There is no release to compare with."""


def last(root: Path | None = None) -> Path:
    """Returns the folder of the last release."""
    folders = [folder for folder in ((root or project_root()) / BASELINES).glob("*.*.*") if folder.is_dir()]
    if not folders:
        raise NoBaseline(f"no release in {BASELINES}")
    return max(folders, key=lambda folder: tuple(map(int, folder.name.split("."))))


def compared(root: Path | None = None) -> Breaches:
    """Compares the code with the last release, without the accepted breaks."""
    root = root or project_root()
    folder = last(root)
    log = of_log(_load_json(folder / ASYNCAPI.name), asyncapi.document())
    http = of_http(_load_json(folder / OPENAPI.name), json.loads(as_text(document(ENDPOINTS))))
    return but_for([entry["break"] for entry in accepted(root)], Breaches(log.breaks + http.breaks, log.notices + http.notices))


def but_for(decided: list[str], findings: Breaches) -> Breaches:
    breaks = [sentence for sentence in findings.breaks if sentence not in decided]
    stale = [
        f"{ACCEPTED}: accepts a break that does not exist: {sentence}" for sentence in decided if sentence not in findings.breaks
    ]
    return Breaches(breaks + stale, findings.notices)


def accepted(root: Path | None = None) -> list[dict[str, str]]:
    """Loads the accepted breaks: `[{"break": the sentence of the check, "why": ...}]`."""
    file = (root or project_root()) / ACCEPTED
    decisions: list[dict[str, str]] = _load_json(file) if file.exists() else []
    if vague := [decision["break"] for decision in decisions if not decision.get("why", "").strip()]:
        raise ValueError(f"{ACCEPTED}: no reason for {', '.join(vague)}")
    return decisions


def release(root: Path | None = None) -> Path:
    """Makes the current contract the baseline of the version in pyproject.toml, and clears the accepted breaks."""
    root = root or project_root()
    version: str = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    folder = root / BASELINES / version
    if folder.exists():
        raise FileExistsError(f"{BASELINES / version} exists, and a released baseline never changes. Raise the version first.")
    folder.mkdir(parents=True)
    (folder / OPENAPI.name).write_text(as_text(document(ENDPOINTS)), "utf-8")
    (folder / ASYNCAPI.name).write_text(as_text(asyncapi.document()), "utf-8")
    (root / ACCEPTED).write_text("[]\n", "utf-8")
    return folder


def _load_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
