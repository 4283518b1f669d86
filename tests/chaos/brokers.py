"""Some real Kafka brokers side by side, KRaft, to show what happens when one dies, stops or comes back, or all lose a tail.

    with Cluster(3, tmp_path) as cluster:
        await create(cluster.bootstrap, [SUBMITTED], copies=3)
        cluster.kill(2); cluster.start_one(2)
        cluster.freeze(3); cluster.thaw(3)

Invariant: they listen on 127.0.0.1 only, no topic is made by itself, and none outlives the process that started it.
"""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

from deploy.local.jars import fetch
from deploy.local.java import find_java
from deploy.local.kafka import MAIN, Jvm, format_data, new_cluster_id, write_configuration
from deploy.local.paths import Places
from deploy.local.ports import LOCALHOST, RANGE, is_free
from deploy.local.process import dies_with_parent
from deploy.local.readiness import listens

START_S = 90.0
# Three brokers share a small machine: fewer threads, slower heartbeats. A broker that hangs leaves the in-sync set soon.
_SETTINGS = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "4000",
    "num.io.threads": "2",
}


class Cluster:
    """`n` brokers, numbered from 1; each is a controller, too. `defaults` are lines of `server.properties` for all of them."""

    def __init__(self, n: int, home: Path, *, heap_mb: int = 256, defaults: dict[str, str] | None = None) -> None:
        self.nodes = range(1, n + 1)
        self._home, self._heap_mb, self._defaults = home, heap_mb, defaults or {}
        free = iter(random.sample([port for port in RANGE if is_free(port)], 2 * n))  # two clusters at once must not meet
        self.ports = {node: next(free) for node in self.nodes}
        self._controllers = {node: next(free) for node in self.nodes}
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{LOCALHOST}:{port}" for port in self.ports.values())

    def data(self, node: int) -> Path:
        """The folder of a broker's partitions."""
        return self._places(node).kafka / "data"

    def output(self, node: int) -> str:
        """What a broker wrote so far."""
        file = self._places(node).root / "output.log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def start(self) -> Self:
        """All of them, formatted as one cluster; returns when each is registered."""
        identity = new_cluster_id()
        for node in self.nodes:
            config = self._configure(node)
            if not (self.data(node) / "meta.properties").exists():
                format_data(self._jvm(node, heap_mb=128), config, identity)
        for node in self.nodes:
            self._launch(node)
        self.wait_registered(*self.nodes)
        return self

    def stop(self) -> None:
        """Ends all, at once."""
        for node in list(self._running):
            self.kill(node)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self, node: int) -> None:
        """SIGKILL; its data stays."""
        process = self._running.pop(node)
        process.kill()
        process.wait()

    def freeze(self, node: int) -> None:
        """SIGSTOP: its connections stay open, and nothing answers."""
        self._running[node].send_signal(signal.SIGSTOP)

    def thaw(self, node: int) -> None:
        self._running[node].send_signal(signal.SIGCONT)

    def start_one(self, node: int, *, wait: bool = True) -> None:
        """Starts a killed one over its data. Without `wait` it returns at once: without a quorum none is ever registered. Not in
        a thread that ends before the test: the broker would end with it. Wait in one, where a loop runs."""
        self._launch(node)
        if wait:
            self.wait_registered(node)

    def wait_registered(self, *nodes: int, timeout_s: float = START_S) -> None:
        """Until the cluster counts these as living. TimeoutError with the end of what a broker wrote when it does not."""
        deadline = time.monotonic() + timeout_s
        while not (all(listens(self.ports[node]) for node in nodes) and set(nodes) <= asyncio.run(registered(self.bootstrap))):
            for node in nodes:
                if self._running[node].poll() is not None:
                    raise TimeoutError(f"broker {node} has ended:\n{self.output(node)[-3000:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"brokers {nodes} are not registered:\n{self.output(nodes[0])[-3000:]}")
            time.sleep(0.2)

    def _places(self, node: int) -> Places:
        return Places(self._home, f"broker-{node}")

    def _configure(self, node: int) -> Path:
        places = self._places(node)
        places.kafka.mkdir(parents=True, exist_ok=True)
        return write_configuration(places, node, self.ports, self._controllers, _SETTINGS | self._defaults)

    def _jvm(self, node: int, *, heap_mb: int) -> list[str]:
        return Jvm(find_java(), heap_mb, quick=True).command(self._places(node), fetch("kafka"))

    def _launch(self, node: int) -> None:
        places = self._places(node)
        command = [*self._jvm(node, heap_mb=self._heap_mb), MAIN, str(places.kafka / "server.properties")]
        with (places.root / "output.log").open("ab") as output:
            self._running[node] = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, preexec_fn=dies_with_parent()
            )


async def registered(bootstrap: str) -> set[int]:
    """The brokers that the cluster counts as living; none while nobody answers."""
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
    try:
        await client.bootstrap()
        return {broker.nodeId for broker in client.cluster.brokers()}
    except (KafkaError, OSError):
        return set()
    finally:
        await client.close()


async def leaders(bootstrap: str, topic: str) -> dict[int, int]:
    """The leader of each partition, -1 where there is none."""
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
        return {one["partition"]: one["leader"] for one in found["partitions"]}
    finally:
        await admin.close()
