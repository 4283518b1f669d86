"""The processes of a profile: the command line and environment of each."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from deploy.local.paths import Places, cache_dir, project_root
from deploy.local.ports import LOCALHOST
from deploy.local.process import APP, BACKBONE, Spec

AGENTS = ("assess", "track", "timekeeper", "deliver", "webhook", "oversee", "project")
INTAKE = "intake"
"""Stages that run only if institutions write with their own Kafka clients."""
ALL_AGENTS = (INTAKE, *AGENTS)
WRITE_RAW = "LIANDONG_RAW_INSTITUTIONS"
DEMO_WRITES_RAW = "bank-001,telecom-001"
SERVICES = ("kafka", "redis", "workers", "gateway")
PROMETHEUS = "prometheus"  # beside the services, when there is one
KAFKA_GRACE_S = 30.0


def raw_institutions(default: str = "") -> tuple[str, ...]:
    """Returns the institutions with Kafka clients of their own, from the environment, as workers do."""
    return tuple(name.strip() for name in os.environ.get(WRITE_RAW, default).split(",") if name.strip())


def worker_names(workers: Mapping[str, int]) -> list[str]:
    """`assess-0`, `assess-1`, ...: unique and the same at every start."""
    return [f"{agent}-{number}" for agent, count in workers.items() for number in range(count)]


def port_names(services: tuple[str, ...], workers: Mapping[str, int]) -> list[str]:
    names = ["kafka", "kafka-controller"] if "kafka" in services else []
    names += ["redis"] if "redis" in services else []
    names += worker_names(workers) if "workers" in services else []
    names += ["gateway"] if "gateway" in services else []
    return names + ([PROMETHEUS] if PROMETHEUS in services else [])


def ports_of(name: str) -> list[str]:
    """Returns the ports of a process by name."""
    return ["kafka", "kafka-controller"] if name == "kafka" else [name]


def common_env(places: Places, kafka_bootstrap: str, redis_url: str, extra: Mapping[str, str]) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP": kafka_bootstrap,
        "REDIS_URL": redis_url,
        "LIANDONG_HOME": str(places.home),
        "LIANDONG_PROFILE": places.profile,
        "LIANDONG_KEYS_FILE": str(places.keys),
        "PYTHONUNBUFFERED": "1",
        **bytecode_env(),
        **extra,
    }


def bytecode_env() -> dict[str, str]:
    """Puts compiled modules into our cache if Python may not write them beside the sources.

    Without them every start compiles all modules again: three times the CPU. Empty if Python keeps them as usual.
    """
    if not sys.dont_write_bytecode:
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(cache_dir() / "bytecode")}


def backbone_spec(name: str, argv: list[str], places: Places, port: int, grace_s: float = 10.0) -> Spec:
    cwd = str(places.root)
    return Spec(name, argv, _log_file(places, name), cwd, stage=BACKBONE, port=port, grace_s=grace_s)


def worker_spec(name: str, places: Places, port: int, env: Mapping[str, str]) -> Spec:
    """`name` is agent-number."""
    agent = name.rpartition("-")[0]
    own = {"LIANDONG_WORKER_ID": name, "LIANDONG_METRICS_PORT": str(port)}
    argv = [sys.executable, "-m", "stream_processors.worker", agent]
    return Spec(name, argv, _log_file(places, name), str(project_root()), env={**env, **own}, stage=APP, port=port)


def gateway_spec(places: Places, port: int, env: Mapping[str, str]) -> Spec:
    argv = [sys.executable, "-m", "gateway"]
    own = {
        "LIANDONG_WORKER_ID": "gateway",
        "LIANDONG_GATEWAY_HOST": LOCALHOST,
        "LIANDONG_GATEWAY_PORT": str(port),
        "LIANDONG_DRAIN_S": "8",
    }
    return Spec("gateway", argv, _log_file(places, "gateway"), str(project_root()), env={**env, **own}, stage=APP, port=port)


def prometheus_spec(argv: list[str], places: Places, port: int) -> Spec:
    return Spec(PROMETHEUS, argv, _log_file(places, PROMETHEUS), str(places.prometheus), stage=APP, port=port)


def _log_file(places: Places, name: str) -> str:
    return str(places.logs / f"{name}.log")
