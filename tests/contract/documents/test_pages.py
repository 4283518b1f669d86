"""The pages keep what they promise: the paths that they name exist, and the glossary has one row for each word."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from deploy.local.paths import project_root

ROOT = project_root()
DOCS = ROOT / "docs"
NAMED = re.compile(r"`((?:gateway|schemas|stream_processors|connectors|deploy|docs|tests)/[\w./-]*)(?:: ([\w.]+))?`")
"""`path` or `path: name`, where the name is a function, class or constant of the file."""


def missing(page: Path) -> list[str]:
    """The paths that a page names and that are not there, and the names that their file does not define."""
    absent = []
    for path, name in NAMED.findall(page.read_text("utf-8")):
        target = ROOT / path
        if not target.exists():
            absent.append(path)
        elif name and not _defines(target, name.rpartition(".")[2]):
            absent.append(f"{path}: {name}")
    return absent


def _defines(path: Path, name: str) -> bool:
    found = rf"(?:def|class|local function) {name}\b|^\s*{name}\s*(?::[^=\n]+)?=|^\s+{name}:|^{name}:"
    return re.search(found, path.read_text("utf-8"), re.MULTILINE) is not None


def rows(page: Path) -> list[tuple[int, list[str]]]:
    """The rows of the page's tables, each with the number of columns of its table; heads are left out."""
    lines = [line.strip() for line in page.read_text("utf-8").splitlines()]
    found, width = [], 0
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith("|") or set(line) <= set("|- "):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if set(following) <= set("|- ") and following:
            width = len(cells)
        else:
            found.append((width, cells))
    return found


def test_the_glossary_fills_each_column_and_names_a_file() -> None:
    entries = rows(DOCS / "glossary.md")
    assert len(entries) >= 40
    assert [cells for width, cells in entries if len(cells) != width or not all(cells) or not NAMED.search(cells[-1])] == []


def test_no_word_stands_twice_in_the_glossary() -> None:
    entries = rows(DOCS / "glossary.md")
    words = Counter(cells[0].lower() for _, cells in entries) + Counter(cells[1] for width, cells in entries if width == 4)
    assert [word for word, times in words.items() if times > 1] == []


RECORD = re.compile(r"# (\d{4}): \S.*\n\n- Status: (accepted|proposed|not used|superseded by \d{4})\n- Date: \d{4}-\d\d-\d\d\n\n")


def test_the_decisions_are_numbered_without_a_gap_and_each_has_its_head() -> None:
    records = sorted((DOCS / "decisions").glob("0*.md"))
    heads = [RECORD.match(record.read_text("utf-8")) for record in records]
    assert [record.name for record, head in zip(records, heads, strict=True) if head is None] == []
    numbers = [int(head[1]) for head in heads if head is not None]
    assert numbers == [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))


@pytest.mark.parametrize("record", sorted((DOCS / "decisions").glob("0*.md")), ids=lambda record: record.name[:4])
def test_a_decision_has_the_sections_of_the_template_and_names_existing_files(record: Path) -> None:
    sections = re.findall(r"^## (.*)$", record.read_text("utf-8"), re.MULTILINE)
    assert sections == ["Context", "Decision", "Consequences", "Alternatives"]
    assert missing(record) == []


def test_the_list_of_decisions_is_complete_and_gives_their_titles() -> None:
    listed = {cells[0]: cells[1] for _, cells in rows(DOCS / "decisions" / "README.md")}
    records = sorted((DOCS / "decisions").glob("0*.md"))
    titles = {f"[{one.name[:4]}]({one.name})": one.read_text("utf-8").partition("\n")[0][8:] for one in records}
    assert listed == titles


CHECKLISTS = [f"howto/{page.name}" for page in sorted((DOCS / "howto").glob("*.md")) if page.name != "README.md"]


@pytest.mark.parametrize("page", CHECKLISTS)
def test_a_checklist_names_a_file_in_each_step_and_the_tests_that_miss_it(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    steps, checks = re.findall(r"^\d+\. .*", text, re.MULTILINE), re.findall(r"^- .*", text, re.MULTILINE)
    assert [int(step.partition(".")[0]) for step in steps] == list(range(1, len(steps) + 1)) and steps
    assert [step for step in steps if not NAMED.match(step.partition(" ")[2])] == []
    assert checks and [check for check in checks if not check.startswith("- `tests/")] == []


@pytest.mark.parametrize("page", ["architecture.md", "glossary.md", *CHECKLISTS])
def test_the_paths_and_names_that_a_page_gives_exist(page: str) -> None:
    assert NAMED.search((DOCS / page).read_text("utf-8"))
    assert missing(DOCS / page) == []


KINDS = ("Added", "Changed", "Removed", "Fixed", "Security", "Upgrade notes")


def test_the_changelog_has_a_heading_for_each_kind_and_a_short_line_for_each_change() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines()
    headings = [line.removeprefix("### ") for line in lines if line.startswith("### ")]
    assert [heading for heading in headings if heading not in KINDS] == []
    assert [line for line in lines if line.startswith("- ") and len(line) > 160] == []
    assert [line for line in lines if line.startswith(" ")] == [], "a change is one line"
