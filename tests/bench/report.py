"""docs/operating/benchmarks.md from what `python -m tests.bench ... --json` printed: nothing on the page is typed by hand.

    python -m tests.bench.report figures.json [more.json ...] < machine.txt > docs/operating/benchmarks.md

`machine.txt` is what the benches said of the machine and the load before they began (stderr). Of a figure that was taken more
than once the last one counts. Invariant: a figure that is missing its target stands on the page like any other, and says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HEAD = """# Benchmarks

What `python -m tests.bench` printed, medians; the single runs stand beside them. Two cores for everything: broker, Redis,
workers, gateway and the load, which comes from a process of its own over loopback. Take them yourself: `make bench`, or
`python -m tests.bench NAME --json`.

A rate and a time are judged as a ratio (`x`) over a baseline: a bare program that does the same work without our rules, measured
by the same run, in turns with it. A slow machine slows both, and the ratio stays. A rate must be at least, a time at most that.
The absolute figure stands in the next row, with the target that it had on the machine of that day, which judges nothing any more.
Absolute bounds remain where they do not depend on the machine's speed: bytes, resident memory, flatness, counts, shares found,
and updates that are held back on purpose.

`make bench-compare AGAINST=<commit>` takes the fast ones on two commits in turns and fails when one got slower by 5 %.
"""


def page(lines: Iterable[str], machine: Iterable[str]) -> str:
    """The page of these JSON lines."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        if line.startswith("{"):
            row = json.loads(line)
            if row["metric"] != "all":  # what did not run at all before is replaced by what was taken later
                found.pop((row["bench"], "all"), None)
            found[row["bench"], row["metric"]] = row
    told = [f"- {line.strip()}" for line in machine if line.strip()]
    parts = [HEAD, *told, ""]
    for bench in dict.fromkeys(name for name, _ in found):
        parts += [f"## {bench}", "", "| Figure | Median | Target | | Runs |", "|---|---|---|---|---|"]
        parts += [_row(row) for (name, _), row in found.items() if name == bench]
        parts.append("")
    return "\n".join(parts)


def _row(row: Mapping[str, Any]) -> str:
    if "not run" in row:
        why = str(row["not run"]).splitlines()[0]
        return f"| {row['metric']} | not run | | | {why} |"
    against = "".join(f"; {name} {_number(value)}" for name, value in row.get("against", {}).items())
    note = f" ({row['note']})" if row.get("note") else ""
    runs = ", ".join(_number(one) for one in row["runs"])
    verdict = "" if row["target"] is None else ("met" if row["ok"] else "**not met**")
    target = (row["target"] or row.get("absolute") or "").replace(">=", "≥").replace("<=", "≤")
    return f"| {row['metric']}{against}{note} | {_number(row['median'])} {row['unit']} | {target} | {verdict} | {runs} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def main() -> None:
    lines = (line for name in sys.argv[1:] for line in Path(name).read_text("utf-8").splitlines())
    sys.stdout.write(page(lines, sys.stdin))


if __name__ == "__main__":
    main()
