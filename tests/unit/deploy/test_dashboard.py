"""The dashboard and its provisioning hold together: data source, units, queries, places on the grid, variables."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from stream_processors.runtime.metrics import GATEWAY, METRICS, VIEWS
from tests.support.panels import DEPLOY, dashboard, panels, queries

SOURCE = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8"))["datasources"][0]
RULES = [
    rule
    for file in sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
UNITS = {"short", "s", "reqps", "percentunit", "bool_yes_no", "dateTimeAsIso"}


def _names() -> set[str]:
    """Every name that a series of ours may have."""
    found = set(RECORDED)
    for registry in (METRICS.registry, GATEWAY.registry):
        found |= {name for names in registry._collector_to_names.values() for name in names}
    return found | {family.name + ("_total" if family.counter else "") for family in VIEWS}


NAMES = _names()


def test_the_provider_and_the_data_source_are_those_that_the_dashboard_names() -> None:
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/liandong.yml").read_text("utf-8"))["providers"][0]
    assert provider["type"] == "file" and provider["options"]["path"]
    assert (SOURCE["type"], SOURCE["uid"], SOURCE["isDefault"]) == ("prometheus", "liandong-prometheus", True)
    board = dashboard()
    assert board["uid"] and board["title"] and board["schemaVersion"] >= 36 and "id" not in board
    asked = [board["templating"]["list"], panels(), *(panel["targets"] for panel in panels())]
    for one in [one for some in asked for one in some]:
        assert one["datasource"] == {"type": "prometheus", "uid": SOURCE["uid"]}


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_in_which_unit_and_asks_for_it(panel: dict[str, Any]) -> None:
    assert panel["title"] and len(panel["description"]) > 10
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"] and all(target["expr"].strip() for target in panel["targets"])
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)
    assert panel["type"] == "table" or all(target["legendFormat"] for target in panel["targets"])


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    places = [panel["gridPos"] for panel in every]
    assert all(one["x"] + one["w"] <= 24 for one in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"], (a, b)


def test_queries_name_only_metrics_that_exist_and_variables_that_are_defined() -> None:
    variables = {one["name"] for one in dashboard()["templating"]["list"]} | {"__rate_interval"}
    for query in queries():
        assert set(re.findall(r"\$(\w+)", query.expr)) <= variables
        named = set(re.findall(r"[a-z_:]*liandong[a-z0-9_:]+", query.expr))
        assert named and named <= NAMES, named - NAMES


def test_rules_name_only_metrics_that_exist() -> None:
    for rule in RULES:
        named = set(re.findall(r"[a-z_:]*liandong[a-z0-9_:]+", re.sub(r"\"[^\"]*\"", "", rule["expr"])))
        assert named <= NAMES, named - NAMES


def test_what_every_gateway_tells_alike_is_never_summed_over_them() -> None:
    """Two gateways must not show twice as many cases."""
    shared = [family.name for family in VIEWS] + ["liandong_stage_lag_records"]
    for query in queries():
        for name in shared:
            for found in re.finditer(rf"(?<![:a-z_]){name}", query.expr):
                before = query.expr[: found.start()]
                assert re.search(r"(max|min)( by \([^)]*\))? \((rate\(|increase\()?$|max\($", before), query
