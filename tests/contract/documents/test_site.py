"""The documentation site builds without a warning, has every page, and loads nothing from outside."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.paths import project_root

DOCS = project_root() / "docs"
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)\s*=\s*[\"']?(?:https?:)?//[^>]*>")
IMPORTED = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    strict = ["-W", "--keep-going", "-n", "-q", "-b", "html", "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *strict, str(DOCS), str(folder / "html")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "html"


def test_every_page_is_built(site: Path) -> None:
    pages = [page.relative_to(DOCS).with_suffix(".html") for page in DOCS.rglob("*.md")]
    assert pages and [str(page) for page in pages if not (site / page).is_file()] == []


def test_a_built_page_loads_nothing_from_outside(site: Path) -> None:
    pages = {page: page.read_text("utf-8") for page in site.rglob("*.html")}
    assert pages and {str(page): found for page, text in pages.items() if (found := LOADED.findall(text))} == {}
    sheets = {sheet: sheet.read_text("utf-8") for sheet in site.rglob("*.css")}
    assert [str(sheet) for sheet, text in sheets.items() if IMPORTED.search(text)] == []
