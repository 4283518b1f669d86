"""The launcher with a real Kafka and a real Redis: data survives, nothing listens outside, nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from deploy.local.errors import LauncherError
from deploy.local.paths import project_root
from deploy.local.process import Identity
from deploy.local.stack import Stack
from deploy.local.store_access import OPERATOR, SERVICE, load
from deploy.local.topics import create_topics
from schemas.topics import TOPICS

pytestmark = pytest.mark.integration

BACKBONE = ("kafka", "redis")
TOPIC = next(iter(TOPICS.values()))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    one = Stack("launch", home=tmp_path_factory.mktemp("home"), services=BACKBONE, backoff_max_s=0.5)
    try:
        yield one.up()
    finally:
        one.down()


def until(holds: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


async def append(bootstrap: str, value: bytes) -> int:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        return (await producer.send_and_wait(TOPIC.name, value, partition=0)).offset


async def values(bootstrap: str) -> list[bytes]:
    partition = TopicPartition(TOPIC.name, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        return [(await consumer.getone()).value for _ in range(end)]


def processes_of(stack: Stack) -> list[Identity]:
    state = stack.control.state()
    assert state
    every = [state["supervisor"], *state["processes"].values()]
    return [Identity(one["pid"], one["created"]) for one in every]


def test_all_topics_of_the_table_are_there_with_their_configuration(stack: Stack) -> None:
    async def look() -> dict[str, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
        await admin.start()
        try:
            described = await admin.describe_topics([*TOPICS])
            return {one["topic"]: len(one["partitions"]) for one in described}
        finally:
            await admin.close()

    assert asyncio.run(look()) == {name: topic.partitions for name, topic in TOPICS.items()}


def test_nothing_listens_but_on_this_machine(stack: Stack) -> None:
    for name in BACKBONE:
        listening = [one for one in psutil.Process(stack.pid(name)).net_connections("inet") if one.status == psutil.CONN_LISTEN]
        assert listening
        # Java writes an IPv4 address the IPv6 way.
        assert {one.laddr.ip.removeprefix("::ffff:") for one in listening} == {"127.0.0.1"}, name


FORBIDDEN = (
    "CONFIG GET *",
    "CONFIG SET dir /tmp",
    "DEBUG SLEEP 0",
    "MODULE LIST",
    "SHUTDOWN NOSAVE",
    "REPLICAOF NO ONE",
    "FUNCTION LIST",
    "ACL LIST",
    "MIGRATE host 1 key 0 1",
    "RESTORE key 0 value",
    "MONITOR",
    "SAVE",
    "SWAPDB 0 1",
)


def refusal_of(client: redis.Redis, command: str) -> str:
    with pytest.raises(redis.ResponseError) as refused:
        client.execute_command(*command.split())
    return str(refused.value)


def test_the_store_is_a_supported_one_and_nobody_gets_in_without_a_password(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis_url) as client:
        server = client.info("server")
    known = server.get("valkey_version") or server["redis_version"]
    assert tuple(map(int, str(known).split("."))) >= (7, 2)
    with redis.Redis(port=stack.port("redis")) as nobody, pytest.raises(redis.AuthenticationError):
        nobody.ping()


@pytest.mark.parametrize("user", [SERVICE, OPERATOR])
def test_nobody_may_administer_the_store(stack: Stack, user: str) -> None:
    access = load(stack.places)
    assert access is not None
    with redis.Redis.from_url(access.url(user, stack.port("redis"))) as client:
        for command in FORBIDDEN:
            assert "no permissions" in (fault := refusal_of(client, command)) or "not allowed" in fault, (command, fault)
        assert client.ping()


def test_the_services_may_not_empty_the_store_and_the_tools_may(stack: Stack) -> None:
    access = load(stack.places)
    assert access is not None
    with redis.Redis.from_url(access.url(SERVICE, stack.port("redis"))) as client:
        assert "no permissions" in refusal_of(client, "FLUSHALL")
    with redis.Redis.from_url(stack.redis_url.removesuffix("/0") + "/9") as client:
        assert client.flushdb()


def test_no_password_is_in_a_command_line_or_in_what_status_shows(stack: Stack) -> None:
    access = load(stack.places)
    assert access is not None
    shown = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    env = {**os.environ, "LIANDONG_HOME": str(stack.places.home)}
    for options in ([], ["--json"]):
        command = [str(Path(sys.executable).with_name("liandong")), "status", "--profile", stack.profile, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=project_root(), env=env)
        shown.append(done.stdout + done.stderr)
    assert stack.profile in shown[-1]
    shown += [file.read_text("utf-8", "replace") for file in (*stack.places.logs.iterdir(), stack.places.state)]
    assert not [text for text in shown for password in access.passwords.values() if password in text]
    assert stack.places.state.stat().st_mode & 0o077 == 0


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = [stack.pid(name) for name in BACKBONE]
    stack.up()
    assert [stack.pid(name) for name in BACKBONE] == before


def test_data_survives_a_restart_and_a_kill(stack: Stack) -> None:
    store = redis.Redis.from_url(stack.redis_url)
    asyncio.run(append(stack.kafka_bootstrap, b"before the restart"))
    store.set("kept", "before the restart")
    addresses = (stack.kafka_bootstrap, stack.redis_url)
    stack.down()
    stack.up()
    assert (stack.kafka_bootstrap, stack.redis_url) == addresses
    assert redis.Redis.from_url(stack.redis_url).get("kept") == b"before the restart"
    asyncio.run(append(stack.kafka_bootstrap, b"before the kill"))
    for name in BACKBONE:
        old = stack.kill(name)
        assert stack.wait_new_pid(name, old) != old
        stack.wait_ready(name)
        assert stack.process(name)["last_exit"]["signal"] == "SIGKILL"
    assert asyncio.run(values(stack.kafka_bootstrap)) == [b"before the restart", b"before the kill"]
    assert redis.Redis.from_url(stack.redis_url).get("kept") == b"before the restart"


def test_one_process_can_be_stopped_and_started(stack: Stack) -> None:
    stack.stop_one("redis")
    assert stack.process("redis")["state"] == "stopped"
    assert not stack.is_healthy()
    time.sleep(0.5)
    with pytest.raises(LauncherError, match="is not running"):
        stack.pid("redis")
    stack.start_one("redis")
    assert stack.is_healthy()
    with pytest.raises(LauncherError, match="is running"):
        stack.start_one("redis")


def test_another_process_of_the_same_user_can_look_and_act(stack: Stack) -> None:
    other = Stack("launch", home=stack.places.home)
    assert other.names() == stack.names()
    assert other.kafka_bootstrap == stack.kafka_bootstrap
    assert other.is_healthy()


def test_a_changed_number_of_partitions_is_an_error(stack: Stack) -> None:
    async def grow() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap)
        await admin.start()
        try:
            await admin.create_partitions({"deadletter.v1": NewPartitions(total_count=2)})
        finally:
            await admin.close()

    asyncio.run(grow())
    with pytest.raises(LauncherError, match=r"deadletter\.v1 has 2 partitions, but the topic table requires 1"):
        create_topics(stack.kafka_bootstrap)


def test_down_leaves_no_process_and_can_be_said_twice(tmp_path: Path) -> None:
    stack = Stack("short", home=tmp_path, services=("redis",)).up()
    ran = processes_of(stack)
    assert all(one.is_alive() for one in ran)
    stack.down()
    assert not any(one.is_alive() for one in ran)
    stack.down(wipe=True)
    assert not stack.places.root.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next up or down ends them")
def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    stack = Stack("short", home=tmp_path, services=("redis",)).up()
    ran = processes_of(stack)
    ran[0].send(signal.SIGKILL)
    until(lambda: not any(one.is_alive() for one in ran), "a child outlived its supervisor")
    assert stack.names() == []
    stack.up()
    assert stack.is_healthy()
    stack.down()


def test_a_stack_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from deploy.local.stack import Stack; "
        "stack = Stack('bound', home=Path(sys.argv[1]), services=('redis',)).up(); print(stack.pid('redis'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, cwd=project_root()
    )
    assert done.returncode == 0, done.stderr
    pid = int(done.stdout)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "it outlived its owner")


def test_a_process_that_keeps_ending_is_an_error_with_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken-redis"
    broken.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo "Redis server v=7.0.0 sha=0"; exit; }\necho "out of luck"; exit 3\n'
    )
    broken.chmod(0o755)
    monkeypatch.setenv("LIANDONG_REDIS_SERVER", str(broken))
    stack = Stack("broken", home=tmp_path / "home", services=("redis",), backoff_max_s=0.2)
    with pytest.raises(LauncherError, match=r"(?s)redis keeps ending \(exit code 3 after \d+ s: out of luck\).*out of luck"):
        stack.up()
    assert stack.names() == [], "a failed start leaves nothing behind"


def test_a_kept_port_that_something_else_took_is_an_error(tmp_path: Path) -> None:
    stack = Stack("taken", home=tmp_path, services=("redis",)).up()
    stack.down()
    taken = rf"of redis .* taken by another program \(pid {os.getpid()}"
    with socket.create_server(("127.0.0.1", stack.port("redis"))), pytest.raises(LauncherError, match=taken):
        stack.up()
    stack.up()
    stack.down()


def test_a_home_with_a_long_path_works(tmp_path: Path) -> None:
    stack = Stack("long", home=tmp_path / ("deep" * 12) / ("deeper" * 12), services=("redis",)).up()
    control = Path(stack.control.recorded()["supervisor"]["control"])  # type: ignore[index]
    assert stack.is_healthy()
    stack.down()
    assert not control.exists()


def test_the_supervisor_tells_every_start_and_end_as_a_json_line(stack: Stack) -> None:
    lines = [json.loads(line) for line in stack.log("supervisor").splitlines()]
    exits = [line for line in lines if line["event"] == "exit" and line.get("signal") == "SIGKILL"]
    assert {line["name"] for line in exits} == {"kafka", "redis"}
    assert all({"at", "pid", "ran_s", "code"} <= line.keys() for line in exits)
