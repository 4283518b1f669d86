"""The dashboard's panels and queries, as data for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "regulator.json"


class Query(NamedTuple):
    panel: str
    ref: str
    expr: str

    def filled(self, interval: str) -> str:
        """As Grafana sends it with `All` chosen in every variable."""
        expr = self.expr.replace("$__rate_interval", interval)
        for name in ("institution", "queue"):
            expr = expr.replace(f"${name}", ".*")
        assert "$" not in expr, f"{self.panel}: a variable that nobody fills"
        return expr


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def panels() -> list[dict[str, Any]]:
    """Those that show something: no rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Query]:
    for panel in panels():
        for target in panel["targets"]:
            yield Query(panel["title"], target["refId"], target["expr"])
