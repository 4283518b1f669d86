"""Configuration of the documentation site: Sphinx, MyST Markdown and the Furo theme. `make docs` builds it into build/docs.

Invariant: every page stays plain Markdown that GitHub shows as it is; the build and the built pages request nothing from outside.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]

project = "Liandong 联动"
author = "The Liandong authors"
project_copyright = author
version = release = PROJECT["version"]
language = "en"

extensions = ["myst_parser"]
root_doc = "index"
nitpicky = True
smartquotes = False

myst_heading_anchors = 4

html_theme = "furo"
html_title = f"{project} {release}"
html_show_sphinx = False
html_copy_source = False
html_use_index = False

SECTIONS = (
    ("Start here", ("architecture", "glossary", "laws")),
    ("Guide", ("guide/*",)),
    ("Reference", ("reference/*", "contracts/README")),
    ("Operating", ("operating/*",)),
    ("How to change it", ("howto/README", "howto/[a-z]*")),
    ("Decisions", ("decisions/README", "decisions/0*", "decisions/template")),
)
"""The navigation. It is added to the first page here and not in its text, which GitHub would show as code."""

TRANSITION = re.compile(r"^ +(\S+) --> (\S+): (.+)$", re.MULTILINE)


def add_navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == root_doc:
        for caption, pages in SECTIONS:
            source[0] += f"\n```{{toctree}}\n:caption: {caption}\n:glob:\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def draw_state_diagrams(app: Sphinx, doctree: nodes.document) -> None:
    """Shows a Mermaid state diagram as a table: GitHub draws it, and the site runs no script for it."""
    for block in list(doctree.findall(nodes.literal_block)):
        if block.get("language") == "mermaid" and (rows := TRANSITION.findall(block.astext())):
            named = [["start" if state == "[*]" else state for state in row[:2]] + [row[2]] for row in rows]
            block.replace_self(_table(("from", "to", "by"), named))


def _table(head: tuple[str, ...], rows: list[list[str]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group)


def _row(cells: list[str] | tuple[str, ...]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", cell)) for cell in cells))


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_navigation)
    app.connect("doctree-read", draw_state_diagrams)
