"""Combines Kafka and Redis: the programs found or downloaded, their configuration, their process."""

from __future__ import annotations

from collections.abc import Callable

from deploy.local import kafka, redis_server, store_access
from deploy.local import process_specs as plan
from deploy.local.jars import KAFKA_VERSION, Progress, fetch
from deploy.local.java import find_java
from deploy.local.paths import Places
from deploy.local.process import Spec


def redis_spec(places: Places, ports: dict[str, int], fsync: str, say: Callable[[str], None]) -> Spec:
    program = redis_server.find_redis()
    say(f"Redis {'.'.join(map(str, redis_server.version(program)))}: {program}")
    argv = redis_server.prepare(places, ports["redis"], program, store_access.load_or_create(places), fsync=fsync)
    return plan.backbone_spec("redis", argv, places, ports["redis"])


def redis_answers(places: Places, port: int) -> bool:
    return redis_server.answers(port, store_access.load(places))


def kafka_spec(
    places: Places, ports: dict[str, int], heap_mb: int, quick: bool, progress: Progress | None, say: Callable[[str], None]
) -> Spec:
    java = find_java()
    jars = fetch("kafka", progress)
    say(f"Kafka {KAFKA_VERSION} on Java {java.major}: {java.path}")
    argv = kafka.prepare(places, ports, kafka.Jvm(java, heap_mb, quick), jars)
    return plan.backbone_spec("kafka", argv, places, ports["kafka"], grace_s=plan.KAFKA_GRACE_S)
