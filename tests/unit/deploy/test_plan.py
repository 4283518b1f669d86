"""What a profile runs, and which addresses a stack gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import process_specs as plan
from deploy.local.errors import LauncherError
from deploy.local.paths import Places
from deploy.local.stack import Stack


def test_workers_have_stable_names() -> None:
    assert plan.worker_names({"assess": 2, "track": 1, "project": 0}) == ["assess-0", "assess-1", "track-0"]


def test_a_worker_knows_who_it_is_and_where_everything_is(tmp_path: Path) -> None:
    places = Places.of("test", tmp_path)
    env = plan.common_env(places, "k:1", "redis://r:2/0", {"LIANDONG_POLL_RECORDS": "5"})
    spec = plan.worker_spec("assess-1", places, 4711, env)
    assert spec.argv[1:] == ["-m", "stream_processors.worker", "assess"]
    assert spec.env["KAFKA_BOOTSTRAP"] == "k:1"
    assert spec.env["REDIS_URL"] == "redis://r:2/0"
    assert spec.env["LIANDONG_HOME"] == str(tmp_path)
    assert spec.env["LIANDONG_KEYS_FILE"] == str(tmp_path / "test" / "keys.json")
    assert spec.env["LIANDONG_POLL_RECORDS"] == "5"
    assert (spec.env["LIANDONG_WORKER_ID"], spec.env["LIANDONG_METRICS_PORT"]) == ("assess-1", "4711")


def test_a_process_keeps_compiled_modules_in_our_cache_where_it_may_not_beside_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIANDONG_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert plan.bytecode_env() == {}
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    program = "import sys; print(sys.dont_write_bytecode, sys.pycache_prefix)"
    env = {"PYTHONDONTWRITEBYTECODE": "1", **plan.bytecode_env()}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["False", str(tmp_path / "bytecode")]


def test_the_gateway_listens_on_this_machine_only(tmp_path: Path) -> None:
    env = plan.gateway_spec(Places.of("test", tmp_path), 4711, {}).env
    assert (env["LIANDONG_GATEWAY_HOST"], env["LIANDONG_GATEWAY_PORT"]) == ("127.0.0.1", "4711")


def test_only_the_demo_uses_services_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "broker.example:9093")
    monkeypatch.setenv("REDIS_URL", "rediss://redis.example:6380/0")
    demo = Stack("demo", home=tmp_path)
    assert demo.services == ("workers", "gateway")
    assert (demo.kafka_bootstrap, demo.redis_url) == ("broker.example:9093", "rediss://redis.example:6380/0")
    assert Stack("test", home=tmp_path).services == plan.SERVICES
    several = Stack("test", home=tmp_path, brokers="one.example:1,two.example:2")
    assert (several.kafka_bootstrap, several.services) == ("one.example:1,two.example:2", ("redis", "workers", "gateway"))


def test_a_stack_that_never_ran_says_so(tmp_path: Path) -> None:
    stack = Stack("test", home=tmp_path)
    with pytest.raises(LauncherError, match="has no gateway yet"):
        _ = stack.gateway_url
    assert stack.names() == []
    assert not stack.is_healthy()
    with pytest.raises(LauncherError, match="has no process kafka"):
        stack.pid("kafka")
    stack.down()
