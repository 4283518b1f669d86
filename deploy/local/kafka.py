"""One real Kafka broker, KRaft, broker and controller in one process: configuration, format, command line.

Invariant: it listens on 127.0.0.1 only, creates no topics by itself, and its data folder is formatted once.
"""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.local.errors import LauncherError
from deploy.local.java import Java
from deploy.local.paths import Places
from deploy.local.ports import LOCALHOST

MAIN = "kafka.Kafka"
FORMAT_MAIN = "kafka.tools.StorageTool"
FORMAT_TIMEOUT_S = 120

_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
# As many copies as there are brokers, three at most.
default.replication.factor={copies}
min.insync.replicas=1
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# A group starts at once, and a short session may be asked for.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# After a SIGKILL the broker may register again when its old session is over.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=300
# A small footprint.
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.io.buffer.size=262144
"""

# WARN and above, to standard output: the supervisor gives every process its log file.
_LOG4J = """\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1}: %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
"""


@dataclass(frozen=True)
class Jvm:
    """`quick` compiles lightly: a third less CPU until the broker is up, a lower peak. Not for benches."""

    java: Java
    heap_mb: int
    quick: bool

    def command(self, places: Places, jars: list[Path]) -> list[str]:
        flags = [
            f"-Xmx{self.heap_mb}m",
            "-Xms64m",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={places.kafka / 'log4j2.properties'}",
            # Not /tmp: native libraries are unpacked there, and it may be mounted noexec.
            f"-Djava.io.tmpdir={places.kafka}",
        ]
        if self.quick:
            flags.append("-XX:TieredStopAtLevel=1")
        if self.java.major >= 22:
            flags.append("--enable-native-access=ALL-UNNAMED")
        if self.java.major >= 23:
            flags.append("--sun-misc-unsafe-memory-access=allow")  # only spares a warning
        return [str(self.java.path), *flags, "-cp", ":".join(map(str, jars))]


def prepare(places: Places, ports: dict[str, int], jvm: Jvm, jars: list[Path]) -> list[str]:
    """Writes the configuration, formats the data folder the first time, and returns the command line."""
    config = write_configuration(places, 1, {1: ports["kafka"]}, {1: ports["kafka-controller"]})
    command = jvm.command(places, jars)
    if not (places.kafka / "data" / "meta.properties").exists():
        format_data(replace(jvm, quick=True).command(places, jars), config, new_cluster_id())
    return [*command, MAIN, str(config)]


def write_configuration(
    places: Places, node: int, ports: dict[int, int], controllers: dict[int, int], settings: dict[str, str] | None = None
) -> Path:
    """Writes the files of broker `node` and returns its `server.properties`. `ports` and `controllers` hold one port of each
    broker of the cluster; `settings` come last and overrule earlier lines."""
    config = places.kafka / "server.properties"
    text = _PROPERTIES.format(
        node=node,
        voters=",".join(f"{voter}@{LOCALHOST}:{port}" for voter, port in controllers.items()),
        host=LOCALHOST,
        port=ports[node],
        controller=controllers[node],
        data=places.kafka / "data",
        copies=min(3, len(ports)),
    )
    config.write_text(text + "".join(f"{name}={value}\n" for name, value in (settings or {}).items()))
    (places.kafka / "log4j2.properties").write_text(_LOG4J)
    return config


def new_cluster_id() -> str:
    """Returns a random id without a leading hyphen, which would read as an option."""
    return "A" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


def format_data(command: list[str], config: Path, cluster: str) -> None:
    """Formats a broker's data folder. LauncherError with the end of Kafka's output if that fails."""
    arguments = ["format", "--cluster-id", cluster, "--config", str(config)]
    done = subprocess.run([*command, FORMAT_MAIN, *arguments], capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S)
    if done.returncode:
        last_lines = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise LauncherError(
            f"Kafka's data folder could not be formatted:\n  {last_lines}", f"command: {command[0]} ... {FORMAT_MAIN} format"
        )
