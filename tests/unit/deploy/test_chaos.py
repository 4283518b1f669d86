"""What a chaos run rests on: clocks that come due while it runs, and points that somebody passes."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from stream_processors.runtime.settings import SHIPPED_POLICY, load_policy
from tests.chaos import losses, policy, run
from tests.chaos.faults import AGENTS, CRASH_POINTS, process_of
from tests.chaos.invariants import Found
from tests.chaos.main import app


def test_every_clock_of_a_run_comes_due_within_its_span_or_never(tmp_path):
    shipped, short = load_policy(SHIPPED_POLICY), load_policy(policy.write(SHIPPED_POLICY, tmp_path / "policy.yaml"))
    assert {rule.name for rule in short.deadlines.rules} == {rule.name for rule in shipped.deadlines.rules}
    for rule in short.deadlines.rules:
        if rule.name in policy.SLOW:
            assert rule.length.exact_s is None or rule.length.exact_s > timedelta(hours=12).total_seconds(), rule.name
            continue
        last = rule.escalate[-1].after.exact_s if rule.escalate else 0
        assert rule.length.exact_s is not None
        assert last is not None
        assert rule.length.exact_s + last <= policy.SPAN_S, rule.name


def test_the_policy_of_a_run_scores_and_routes_as_the_shipped_one(tmp_path):
    shipped, short = load_policy(SHIPPED_POLICY), load_policy(policy.write(SHIPPED_POLICY, tmp_path / "policy.yaml"))
    assert (short.rules, short.routes, short.severities, short.window_s) == (
        shipped.rules,
        shipped.routes,
        shipped.severities,
        shipped.window_s,
    )


def test_every_crash_point_is_of_a_process_that_runs():
    rng = random.Random(1)
    for name in CRASH_POINTS:
        process = process_of(name, rng)
        assert process == "gateway" or process.rpartition("-")[0] in AGENTS, name


def test_several_brokers_lose_their_tails_and_know_no_other_break(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, int]] = []

    def note(steps: Any, *, brokers: int, **_: Any) -> Found:
        calls.append((steps, brokers))
        return Found()

    monkeypatch.setattr(run, "run", note)
    assert CliRunner().invoke(app, ["--brokers", "3"]).exit_code == 0
    assert CliRunner().invoke(app, ["--brokers", "3", "--only", "kill"]).exit_code == 2
    assert calls == [(list(losses.BREAKS), 3)]


def test_a_point_of_the_restore_barrier_is_waited_for_only_where_something_is_folded() -> None:
    rng = random.Random(1)
    processes = {process_of("restore.folded", rng).rpartition("-")[0] for _ in range(200)}
    assert processes == {"assess", "track", "timekeeper", "oversee", "project"}
