"""Sizes and names: modules stay short, functions shorter, and every crash point is where its table says."""

from __future__ import annotations

import ast
import re
import statistics
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from stream_processors.runtime.crash_points import POINTS
from tests.quality.measure import PACKAGES, ROOT, count_lines, parse, product_files

MODULES = product_files()
OTHERS = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.lua"))
FILES = {"calls": "webhook_sender"}
"""The file of a crash point's part, where it has another name."""
MODULE_LINES, FUNCTION_LINES, MEDIAN_LINES = 400, 70, 120


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*MODULES, *OTHERS], ids=_name)
def test_a_module_is_at_most_400_lines(path: Path) -> None:
    assert count_lines(path) <= MODULE_LINES


def test_the_median_module_is_about_a_hundred_lines() -> None:
    assert statistics.median(count_lines(path) for path in MODULES if count_lines(path) > 1) <= MEDIAN_LINES


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_function_is_at_most_70_lines(path: Path) -> None:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    tree = parse(path)
    said = ast.get_docstring(tree)
    assert said or not tree.body, "no docstring"
    assert said is None or len(said) >= 10


@cache
def _points() -> list[tuple[Path, str]]:
    """Where the code passes a crash point, by its literal name."""
    found = []
    for path in MODULES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "point":
                argument = node.args[0] if node.args else None
                assert isinstance(argument, ast.Constant), f"{_name(path)}:{node.lineno} names its point by a variable"
                found.append((path, argument.value))
    return found


def test_every_crash_point_in_the_code_is_declared_and_every_declared_one_is_passed() -> None:
    assert {name for _, name in _points()} == set(POINTS)


@pytest.mark.parametrize("name", POINTS)
def test_a_crash_point_is_passed_in_the_part_that_it_is_named_for(name: str) -> None:
    stage = name.partition(".")[0]
    homes = {"gateway": r"gateway/", "restore": r"stream_processors/state/restore\.py"}
    wanted = homes.get(stage, rf"stream_processors/agents/{FILES.get(stage, stage)}\.py")
    places = [_name(path) for path, found in _points() if found == name]
    assert places
    assert all(re.match(wanted, place) for place in places), places


def test_the_points_of_a_step_stand_in_the_order_of_their_table() -> None:
    for stage in ("intake", "assess", "track", "timekeeper", "deliver", "webhook", "calls", "oversee", "project"):
        path = ROOT / "stream_processors" / "agents" / f"{FILES.get(stage, stage)}.py"
        text = path.read_text("utf-8")
        declared = [name for name in POINTS if name.startswith(f"{stage}.")]
        places = [text.index(f'point("{name}")') for name in declared]
        assert places == sorted(places)
        assert Counter(name for at, name in _points() if at == path) == Counter(declared), "each is passed in one place"
