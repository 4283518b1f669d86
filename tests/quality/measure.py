"""Measures names, sizes and imports of the product, and prints them beside their limits: `make quality`.

The product is what is in the wheel. Invariant: every figure is counted from the sources alone, so that two runs agree.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.quality.imports import find_circles, folders_of, group_by_folder, longest_chain, read_imports

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "stream_processors", "gateway", "connectors", "deploy")
VAGUE = frozenset(
    (
        *("told", "said", "found", "one", "known", "kept", "taken", "given"),
        *("standing", "asked", "wanted", "seen", "left", "whole", "gone", "noticed"),
    )
)
"""Words that say nothing of what a name holds."""
MARK = re.compile(r"""f["'][a-z]{1,3}\{[^}]*\}(?::[a-z]?\{[^}]*\})?["']""")
"""A watermark of the state that is put together by hand: a letter or more, and a partition."""


@dataclass(frozen=True)
class Figure:
    """One measured number. `limit`: the goal; `is_lowest`: the figure must reach it, instead of staying below."""

    name: str
    value: float
    limit: float
    unit: str = ""
    is_lowest: bool = False

    @property
    def is_met(self) -> bool:
        return self.value >= self.limit if self.is_lowest else self.value <= self.limit


def product_files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def measure() -> tuple[Figure, ...]:
    """All figures, in the order in which they are printed."""
    return *_names(), *_sizes(), *_imports()


def _names() -> Iterator[Figure]:
    bound = [name for path in product_files() for name, _ in _bindings(parse(path))]
    vague = sum(name.strip("_") in VAGUE for name in bound)
    yield Figure("vague words among bound names", 100 * vague / len(bound), 0.3, "%")
    functions = {node.name for path in product_files() for node in _functions(parse(path)) if not node.name.startswith("__")}
    single = [name for name in functions if "_" not in name.strip("_")]
    yield Figure("function names of a single word", 100 * len(single) / len(functions), 35, "%")
    classes = Counter(node.name for path in product_files() for node in ast.walk(parse(path)) if isinstance(node, ast.ClassDef))
    shared = sum(count for count in classes.values() if count > 1)
    yield Figure("classes that share their name", 100 * shared / classes.total(), 5, "%")
    marks = sum(
        len(MARK.findall(path.read_text("utf-8")))
        for path in product_files()
        if path.is_relative_to(ROOT / "stream_processors") and path.name != "marks.py"
    )
    yield Figure("watermarks put together by hand", marks, 0)


def _sizes() -> Iterator[Figure]:
    lengths = [length for path in product_files() if (length := count_lines(path)) > 1]
    yield Figure("product", sum(lengths), 49_300, "lines")
    yield Figure("module, median", statistics.median(lengths), 110, "lines")
    yield Figure("module, longest", max(lengths), 400, "lines")
    functions = [node for path in product_files() for node in _functions(parse(path))]
    spans = sorted((node.end_lineno or 0) - node.lineno + 1 for node in functions)
    yield Figure("function, 95th percentile", spans[int(len(spans) * 0.95)], 25, "lines")
    yield Figure("function, longest", spans[-1], 70, "lines")
    yield Figure("parameters of a function, most", max(map(_count_parameters, functions)), 8)
    tests = sum(count_lines(path) for path in (ROOT / "tests").rglob("*.py"))
    yield Figure("tests for each line of the product", tests / sum(lengths), 0.9, is_lowest=True)


def _imports() -> Iterator[Figure]:
    imports = read_imports({module_name(path): parse(path) for path in product_files()})
    yield Figure("circles between files", len(find_circles(imports)), 0)
    folders = [group_by_folder(imports, folder) for folder in folders_of(imports)]
    yield Figure("circles between folders", sum(len(find_circles(graph)) for graph in folders), 0)
    chains = [longest_chain(group_by_folder(imports, package)) for package in PACKAGES]
    yield Figure("chain of imports in a package, longest", max(map(len, chains)), 6)


def _bindings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names that the code chooses, of functions, classes, parameters and variables, where they are bound: name, line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _count_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Those that a caller gives: without `self`, and without the options of a command line, which are not called by code."""
    if any(isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "command" for node in function.decorator_list):
        return 0
    arguments = function.args
    names = [arg.arg for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def count_lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def list_vague(paths: Sequence[Path]) -> Iterator[str]:
    """Where vague names are bound, for whoever renames them: `file:line name`."""
    for path in paths:
        for name, line in _bindings(parse(path)):
            if name.strip("_") in VAGUE:
                yield f"{path.relative_to(ROOT)}:{line} {name}"


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["vague"]:
        chosen = [path for path in product_files() if not arguments[1:] or str(path.relative_to(ROOT)).startswith(arguments[1])]
        print("\n".join(list_vague(chosen)))
        return
    for figure in measure():
        bound = ("at least" if figure.is_lowest else "at most") + f" {figure.limit:g}"
        state = "met" if figure.is_met else "not yet"
        print(f"{figure.name:42} {figure.value:10,.2f} {figure.unit:6} {bound:16} {state}")


if __name__ == "__main__":
    main(sys.argv[1:])
