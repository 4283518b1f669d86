"""The imports among our own modules: circles between files and between folders, and the longest chain in a package."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Set

Graph = Mapping[str, frozenset[str]]
"""Who imports whom."""


def read_imports(modules: Mapping[str, ast.Module]) -> dict[str, frozenset[str]]:
    """Which of our modules each module imports, imports for type checking included. Modules are named by their dotted path."""
    names = modules.keys()
    return {name: frozenset(_imported(tree, names) - {name}) for name, tree in modules.items()}


def _imported(tree: ast.Module, names: Set[str]) -> set[str]:
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= members & names
            if members - names:
                imported.add(node.module)
    return imported & names


def group_by_folder(imports: Graph, folder: str) -> dict[str, frozenset[str]]:
    """The same between the direct members of a folder: its files and its sub-folders, each as one."""
    prefix = f"{folder}." if folder else ""

    def member(module: str) -> str | None:
        return prefix + module.removeprefix(prefix).partition(".")[0] if module.startswith(prefix) else None

    grouped: dict[str, set[str]] = {}
    for module, targets in imports.items():
        if (source := member(module)) is not None:
            grouped.setdefault(source, set()).update(name for name in map(member, targets) if name not in (None, source))
    return {name: frozenset(targets) for name, targets in grouped.items()}


def folders_of(imports: Graph) -> list[str]:
    """All folders that hold modules, the root ("") first."""
    folders = {""}
    for module in imports:
        parts = module.split(".")
        folders |= {".".join(parts[:n]) for n in range(1, len(parts))}
    return sorted(folders)


def find_circles(imports: Graph) -> list[tuple[str, ...]]:
    """The groups of nodes that import each other, directly or in a circle (Tarjan's components of more than one node)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    circles: list[tuple[str, ...]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(imports.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                circles.append(tuple(sorted(component)))

    for node in sorted(imports):
        if node not in index:
            visit(node)
    return circles


def longest_chain(imports: Graph) -> list[str]:
    """The longest path along the imports. Of a circle all nodes stand on it: each needs each other."""
    circle_of = {node: circle for circle in find_circles(imports) for node in circle}
    merged: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for node, targets in imports.items():
        source = circle_of.get(node, (node,))
        merged.setdefault(source, set()).update(circle_of.get(target, (target,)) for target in targets)
    longest: dict[tuple[str, ...], list[str]] = {}

    def chain(node: tuple[str, ...]) -> list[str]:
        if node not in longest:
            below = [chain(target) for target in merged.get(node, ()) if target != node]
            longest[node] = [*node, *max(below, key=len, default=[])]
        return longest[node]

    return max((chain(node) for node in merged), key=len, default=[])
