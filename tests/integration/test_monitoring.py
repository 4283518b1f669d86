"""A real Prometheus watches a real run: conventions, rules, targets, and data behind every query of the dashboard.

Prometheus is looked for on PATH and in the cache, else fetched from the distribution's packages; without apt the tests are
skipped and say so.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import prometheus
from deploy.local.process_specs import AGENTS
from deploy.local.stack import Stack
from deploy.local.tokens import mint, scrape_headers
from deploy.verify.run import settings_of
from deploy.verify.wait_idle import wait_quiet
from gateway.ops.exporter import KEPT_S
from schemas.topics import SUBMITTED
from tests.support.builders import account
from tests.support.panels import Query, queries
from tests.unit.gateway.fakes import QUEUE, ndjson, signal

pytestmark = pytest.mark.integration

EMPTY = {
    ("Accepted and refused 接收与拒收", "C"): "nothing is answered 503 in a run without trouble",
}
"""Queries that have no data after the run, and why."""

SIGNALS, ROUNDS, WAIT_S = 30, 8, 60


@pytest.fixture(scope="module")
def program() -> Path:
    if prometheus.find() is None and not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("NOT TESTED: there is no Prometheus on PATH or in the cache, and no apt to fetch it with")
    return prometheus.find_or_fetch()


@pytest.fixture(scope="module")
def promtool(program: Path) -> Path:
    found = prometheus.promtool(program)
    assert found, f"{program} has no promtool beside it"
    return found


@pytest.fixture(scope="module")
def stack(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("monitoring")
    with Stack("monitoring", home=home, monitor=program, scrape_s=1, kafka_heap_mb=256, backoff_max_s=0.5) as made:
        yield made


@pytest.fixture(scope="module")
def run(stack: Stack) -> Stack:
    """Seconds of everything that the dashboard shows: new, repeated, re-sent, corroborated, refused, unreadable, claimed."""
    asyncio.run(_poison(stack))
    with httpx.Client(base_url=stack.gateway_url, timeout=30) as client:
        for number in range(ROUNDS):
            _round(client, stack, number)
            time.sleep(0.7)
    asyncio.run(wait_quiet(settings_of(stack)))
    # A scrape may be from before the rest, and the gateway keeps what it read from the views: time for both to be newer.
    time.sleep(KEPT_S + 2)
    until("all is counted", lambda: _ask(stack, "stage:liandong_stage_lag_records:max > 0 or liandong_views_up == 0") == [])
    return stack


async def _poison(stack: Stack) -> None:
    """What no gateway would write; once before Prometheus has seen anything, and once after."""
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap) as producer:
        await producer.send_and_wait(SUBMITTED.name, b"no record of ours", partition=0)
        await asyncio.to_thread(until, "a scrape of it", lambda: _ask(stack, "sum(liandong_dead_letters_total) > 0"))
        await producer.send_and_wait(SUBMITTED.name, b"no record of ours", partition=0)


def _round(client: httpx.Client, stack: Stack, number: int) -> None:
    run = secrets.token_hex(4)
    for bank in ("bank-001", "bank-002"):
        bodies = [signal(f"{run}-{n}", indicators=[account(number * 100 + n)], narrative=f"{n}") for n in range(SIGNALS)]
        again = {**bodies[0], "reference": f"{run}-again"}
        _send(client, stack, bank, ndjson(*bodies, again, b"no json", signal(f"{run}-x", kind="unheard of")))
        _send(client, stack, bank, ndjson(bodies[0]))
        one = signal(f"{run}-one", indicators=[account(50_000 + number)])
        client.post("/v1/signals", json=one, headers=_bearer(stack, bank)).raise_for_status()
    officer = _bearer(stack, "officer-wang", queues=[QUEUE])
    until("a case to take", lambda: client.post(f"/v1/queues/{QUEUE}/next", headers=officer).status_code == 200)


def _send(client: httpx.Client, stack: Stack, bank: str, lines: bytes) -> None:
    headers = {**_bearer(stack, bank), "content-type": "application/x-ndjson"}
    client.post("/v1/signals/batch", content=lines, headers=headers).raise_for_status()


def _bearer(stack: Stack, who: str, **more: Any) -> dict[str, str]:
    return {"Authorization": "Bearer " + mint(who, home=stack.places.home, profile=stack.profile, **more)}


def _ask(stack: Stack, expr: str) -> list[dict[str, Any]]:
    answer = httpx.post(f"{stack.prometheus_url}/api/v1/query", data={"query": expr}, timeout=10)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def until(what: str, holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what}"
        time.sleep(0.25)
    return found


def test_the_committed_configuration_and_rules_are_good(promtool: Path) -> None:
    rules = sorted(prometheus.COMMITTED.glob("rules/*.yml"))
    for command in (["check", "config", prometheus.COMMITTED / "prometheus.yml"], ["check", "rules", *rules]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_must_and_not_before(promtool: Path) -> None:
    files = sorted(prometheus.COMMITTED.glob("tests/*.yml"))
    done = subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_runs_is_scraped_and_every_rule_evaluates(run: Stack) -> None:
    up = {(one["metric"]["job"], one["metric"]["process"]): one["value"][1] for one in _ask(run, "up")}
    workers = {("liandong-worker", f"{agent}-0"): "1" for agent in AGENTS}
    assert up == {("liandong-gateway", "gateway"): "1", **workers}
    groups = httpx.get(f"{run.prometheus_url}/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 20 and {rule["health"] for rule in rules} == {"ok"}


@pytest.mark.parametrize("name", ["gateway", "assess-0", "track-0", "project-0"])
def test_what_is_exposed_is_by_the_conventions(run: Stack, promtool: Path, name: str) -> None:
    text = httpx.get(run.metrics_url(name), headers=scrape_headers(run.places.root)).text
    ours = "\n".join(line for line in text.splitlines() if "liandong_" in line) + "\n"
    done = subprocess.run([promtool, "check", "metrics"], input=ours, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("query", list(queries()), ids=lambda query: f"{query.panel} {query.ref}")
def test_a_query_of_the_dashboard_has_data(run: Stack, query: Query) -> None:
    def data() -> list[float]:
        return [value for row in _ask(run, query.filled("1m")) if not math.isnan(value := float(row["value"][1]))]

    if (query.panel, query.ref) in EMPTY:
        assert data() == [], f"it has data now, take it off the list: {EMPTY[query.panel, query.ref]}"
    else:
        until(f"data of {query.expr}", data)


def test_numbers_are_those_of_the_run(run: Stack) -> None:
    told = {row["metric"]["outcome"]: int(row["value"][1]) for row in _ask(run, _OUTCOMES)}
    assert told == {
        "assessed": 2 * ROUNDS * (SIGNALS + 1),
        "duplicate_content": 2 * ROUNDS,
        "refused": 2,
    }
    assert float(_ask(run, "sum(liandong_gateway_replayed_total)")[0]["value"][1]) == 2 * ROUNDS
    assert float(_ask(run, "sum(liandong_dead_letters_total)")[0]["value"][1]) == 2
    firing = {row["metric"]["alertname"] for row in _ask(run, 'ALERTS{alertstate="firing"}')}
    assert firing == {"LiandongDeadLetters"}


_OUTCOMES = "sum by (outcome) (max by (institution, outcome) (liandong_signals_total))"


REPEATS = (("outcome", "redelivery"), ("kind", "deadline_due"))
"""A stage that begins anew may ask again for what it asked for; the answer is a fact and is counted, but nothing changed."""


def test_what_is_read_from_the_views_is_the_same_after_redis_lost_everything(run: Stack) -> None:
    def views() -> dict[str, float]:
        answer = httpx.get(run.metrics_url("gateway"), headers=scrape_headers(run.places.root), timeout=10)
        families = text_string_to_metric_families(answer.text)
        rows = [row for family in families for row in family.samples if not any(label in row.labels.items() for label in REPEATS)]
        counts = {f"{row.name}{json.dumps(row.labels, sort_keys=True)}": row.value for row in rows}
        return {key: n for key, n in counts.items() if key.startswith(("liandong_signals", "liandong_actions", "liandong_queue"))}

    before = views()
    pids = {name: run.pid(name) for name in ("assess-0", "track-0", "project-0")}
    redis.Redis.from_url(run.redis_url).flushall()
    for name, pid in pids.items():
        run.wait_new_pid(name, pid, timeout_s=60)
    until("the views are away, and nothing of them is told", lambda: views() in ({}, before))
    deadline = time.monotonic() + 2 * WAIT_S
    while (after := views()) != before and time.monotonic() < deadline:
        time.sleep(0.25)
    assert after == before
    assert len(before) > 10
