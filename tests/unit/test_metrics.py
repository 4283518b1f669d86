"""The metrics: named by Prometheus' conventions, each with its comment, in one file; and no sender can make series."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from gateway.app import ENDPOINTS
from schemas.signals.assessed import AssessOutcome
from stream_processors.runtime import metrics
from stream_processors.runtime.metrics import GATEWAY, METRICS, STEPS, VIEWS, PolledHistogram, Stages
from stream_processors.topology import STAGES

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(metrics.__file__).read_text("utf-8")
BASE_UNITS = ("_seconds", "_records", "_score", "_info", "_cases", "_clocks", "_clients", "_up", "_fen", "_partitions")
LABELS = {"stage", "step", "outcome", "reason", "route", "part", "view", "institution", "queue", "severity", "status", "kind"}
LABELS |= {"unit", "figure", "percentile"}  # units are the policy's, the others closed sets


def _declared() -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Name, type, help and labels of every metric of ours."""
    for registry in (METRICS.registry, GATEWAY.registry):
        for collector in registry._collector_to_names:
            if hasattr(collector, "_labelnames"):
                yield collector._name, collector._type, collector._documentation, collector._labelnames
    for family in VIEWS:
        yield family.name, "counter" if family.counter else "gauge", family.help, family.labels


DECLARED = list(dict.fromkeys(_declared()))


@pytest.mark.parametrize("name, kind, said, labels", DECLARED, ids=[one[0] for one in DECLARED])
def test_a_metric_has_a_conventional_name_a_help_text_and_known_labels(
    name: str, kind: str, said: str, labels: tuple[str, ...]
) -> None:
    assert re.fullmatch(r"liandong(_[a-z]+)+", name)
    assert len(said) > 10 and not said.endswith(".")
    assert set(labels) <= LABELS, "a new label needs a look: is its set closed?"
    assert kind in ("counter", "info") or name.endswith(BASE_UNITS), "a gauge or histogram ends in its base unit"


def test_every_metric_is_declared_in_the_one_file_and_has_a_comment() -> None:
    makers = {"Counter", "Gauge", "Histogram", "PolledHistogram", "Info", "Summary", "Enum", "Family"}
    for path in [path for package in ("stream_processors", "gateway", "connectors") for path in (ROOT / package).rglob("*.py")]:
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in makers and node.args
        ]
        found = [node for node in calls if isinstance(node.args[0], ast.Constant) and "liandong" in str(node.args[0].value)]
        assert path.samefile(metrics.__file__) or not found, f"{path} declares metrics"
    lines = SOURCE.splitlines()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in makers:
            at = node.lineno - 1
            assert lines[at - 1].strip().startswith("#"), f"line {at + 1} has no comment"


def test_a_stage_has_all_its_series_at_zero_before_anything_happens() -> None:
    fresh = Stages()
    for stage in STAGES:
        fresh.prepare(stage)
        assert fresh.registry.get_sample_value("liandong_dead_letters_total", {"stage": stage}) == 0
        for step in STEPS[stage]:
            assert fresh.registry.get_sample_value("liandong_step_seconds_count", {"stage": stage, "step": step}) == 0
    for outcome in AssessOutcome:
        assert fresh.registry.get_sample_value("liandong_facts_total", {"stage": "assess", "outcome": outcome}) == 0


def test_a_poll_s_values_at_once_count_as_each_alone() -> None:
    values = [0, 10, 10, 10.5, 35, 100, 100, 250]
    one, many = CollectorRegistry(), CollectorRegistry()
    alone = PolledHistogram("liandong_probe_score", "Said", buckets=range(10, 101, 10), registry=one)
    PolledHistogram("liandong_probe_score", "Said", buckets=range(10, 101, 10), registry=many).observe_all(iter(values))
    for value in values:
        alone.observe(value)
    assert told(one) == told(many)


def test_all_stages_and_the_gateway_together_are_a_few_hundred_series() -> None:
    for stage in STAGES:
        METRICS.prepare(stage)
    assert series(METRICS.registry) < 200 * len(STAGES)  # a process has those of its own stage
    assert series(GATEWAY.registry) < 30 * len(ENDPOINTS)  # other tests may have asked every route


def told(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    rows = [sample for family in registry.collect() for sample in family.samples if not sample.name.endswith("_created")]
    return {(row.name, row.labels.get("le", "")): row.value for row in rows}


def series(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())
