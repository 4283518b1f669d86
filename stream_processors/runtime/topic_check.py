"""Compares a topic in Kafka with the topic table: each fault in one sentence, with the command that fixes it.

Pure. Invariant: a topic without a fault keeps the table's promises: its copies, how many of them have a record before it is
acknowledged, the retention of records, and that the broker stamps their time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.topics import MOST_COPIES, Topic, least_in_sync


class Partition(NamedTuple):
    """A partition as the broker describes it; `leader` is -1 if there is none."""

    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True)
class TopicState:
    """The state of a topic. `configs` are the effective values, whoever set them; None if they may not be read."""

    partitions: tuple[Partition, ...]
    configs: Mapping[str, str] | None

    @property
    def copies(self) -> int:
        """The number of copies of the partition with the fewest."""
        return min((len(partition.replicas) for partition in self.partitions), default=0)


class Fault(NamedTuple):
    """A difference from the table: `name` is the setting, `value` the actual value, `target` the required one."""

    topic: str
    name: str
    value: str
    target: str
    command: str

    def sentence(self) -> str:
        return f"topic {self.topic}: {self.name} is {self.value}, the topic table requires {self.target}. Fix: {self.command}"


class WrongTopics(RuntimeError):
    """Topics differ from the table: an acknowledgement would promise more than they keep."""


def refuse(faults: Sequence[Fault]) -> None:
    """WrongTopics with a sentence for each fault, if there is any."""
    if faults:
        raise WrongTopics("; ".join(fault.sentence() for fault in faults))


def find_faults(topics: Iterable[Topic], states: Mapping[str, TopicState], brokers: Sequence[int]) -> list[Fault]:
    """Every difference from the table, topic by topic. `brokers` are the living ones."""
    faults: list[Fault] = []
    for topic in topics:
        state = states.get(topic.name)
        if state is None:
            faults.append(_report_missing(topic, min(MOST_COPIES, len(brokers))))
        else:
            faults += [*_shape_faults(topic, state, brokers), *_config_faults(topic, state)]
    return faults


def create_command(topic: Topic, copies: int) -> str:
    """The command that creates the topic in a cluster that the launcher does not run. `$KAFKA` is as for the access commands."""
    configs = " ".join(f"--config {name}={value}" for name, value in topic.config(copies).items())
    return (
        f"kafka-topics.sh $KAFKA --create --if-not-exists --topic {topic.name} --partitions {topic.partitions} "
        f"--replication-factor {copies} {configs}"
    )


def _report_missing(topic: Topic, copies: int) -> Fault:
    return Fault(topic.name, "the topic", "not there", f"{topic.partitions} partitions", create_command(topic, copies))


def _shape_faults(topic: Topic, state: TopicState, brokers: Sequence[int]) -> Iterable[Fault]:
    if (count := len(state.partitions)) != topic.partitions:
        mend = "none, because keys would change their partitions; use a new cluster, or revert the table"
        yield Fault(topic.name, "the number of partitions", str(count), str(topic.partitions), mend)
    if state.copies < (copies := min(MOST_COPIES, len(brokers))):
        yield Fault(
            topic.name, "the number of copies", str(state.copies), str(copies), _copies_command(topic, state, brokers, copies)
        )


def _copies_command(topic: Topic, state: TopicState, brokers: Sequence[int], copies: int) -> str:
    """Each partition keeps its copies, the first of them included, and gets those of the next brokers."""
    moves = []
    for partition in state.partitions:
        others = [broker for broker in _rotate_brokers(sorted(brokers), partition.number) if broker not in partition.replicas]
        moves.append({"topic": topic.name, "partition": partition.number, "replicas": [*partition.replicas, *others][:copies]})
    plan = json.dumps({"version": 1, "partitions": moves}, separators=(",", ":"))
    return f"echo '{plan}' > copies.json && kafka-reassign-partitions.sh $KAFKA --reassignment-json-file copies.json --execute"


def _rotate_brokers(brokers: list[int], by: int) -> list[int]:
    at = by % len(brokers) if brokers else 0
    return brokers[at:] + brokers[:at]


Holds = Callable[[str, str], bool]


def _is_equal(value: str, expected: str) -> bool:
    return value == expected


def _at_least(value: str, expected: str) -> bool:
    return int(value) >= int(expected)


def _no_shorter(value: str, expected: str) -> bool:
    """-1 means for ever."""
    return int(value) == -1 or int(value) >= int(expected)


_RULES: dict[str, tuple[str, Holds]] = {
    "min.insync.replicas": ("at least ", _at_least),
    "unclean.leader.election.enable": ("", _is_equal),
    "message.timestamp.type": ("", _is_equal),
    "cleanup.policy": ("", _is_equal),
    "retention.ms": ("at least ", _no_shorter),
    "retention.bytes": ("", _is_equal),
    "max.message.bytes": ("at least ", _at_least),
}
"""Setting -> the wording of the required value, and the test of an actual one. Other settings are a matter of taste."""
_RAW_RULES: dict[str, tuple[str, Holds]] = {"compression.type": ("", _is_equal), "retention.ms": ("", _is_equal)}
"""Settings of a topic that an institution writes itself. Its records are readable, so they stay no longer than the table says.
Nothing is stored compressed, so the broker refuses records that are small only while compressed."""


def _config_faults(topic: Topic, state: TopicState) -> Iterable[Fault]:
    if state.configs is None:
        mend = f"kafka-acls.sh $KAFKA --add --allow-principal User:<this one> --operation DescribeConfigs --topic {topic.name}"
        yield Fault(topic.name, "the configuration", "not readable for this user", "readable", mend)
        return
    expected_of = {**topic.config(state.copies), "retention.bytes": "-1"}
    is_raw = topic.party is not None and topic.compression == "uncompressed"
    for name, (phrase, holds) in (_RULES | (_RAW_RULES if is_raw else {})).items():
        value, expected = state.configs.get(name), expected_of[name]
        if value is not None and not _does_hold(holds, value, expected):
            yield Fault(topic.name, name, value, f"{phrase}{expected}", _config_command(topic, name, expected))
    least = state.configs.get("min.insync.replicas", "1")
    if least.isdigit() and int(least) > state.copies > 0:
        expected = str(least_in_sync(state.copies))
        yield Fault(topic.name, "min.insync.replicas", least, expected, _config_command(topic, "min.insync.replicas", expected))


def _does_hold(holds: Holds, value: str, expected: str) -> bool:
    try:
        return holds(value, expected)
    except ValueError:
        return False


def _config_command(topic: Topic, name: str, expected: str) -> str:
    return f"kafka-configs.sh $KAFKA --alter --entity-type topics --entity-name {topic.name} --add-config {name}={expected}"
