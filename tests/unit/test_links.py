"""The pages for people: what they link to is there, and the first page stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.local.paths import project_root

ROOT = project_root()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
README_WORDS, README_LINES = 900, 150
"""Five minutes of reading, tables and commands included."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and not link.startswith("#")]
    assert [link for link in links if not (page.parent / link.partition("#")[0]).exists()] == []


def test_the_folders_and_files_that_the_first_page_names_are_there() -> None:
    text = PAGES[0].read_text("utf-8")
    named = re.findall(r"`((?:gateway|schemas|stream_processors|connectors|deploy|docs|tests)/[\w/.-]*)`", text)
    assert named and [name for name in named if not (ROOT / name).exists()] == []


def test_the_first_page_is_read_in_five_minutes() -> None:
    text = PAGES[0].read_text("utf-8")
    assert len(text.split()) <= README_WORDS and len(text.splitlines()) <= README_LINES
