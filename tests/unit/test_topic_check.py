"""What a topic really is against the table: each fault names topic, value, wanted value and the command that mends it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import MOST_COPIES, SUBMITTED, Topic, all_topics, least_in_sync, raw
from stream_processors.runtime.topic_check import Partition, TopicState, WrongTopics, create_command, find_faults, refuse

DEFAULTS = {"retention.bytes": "-1"}


def _state(topic: Topic, copies: int = 3, **changed: str) -> TopicState:
    replicas = tuple(range(1, copies + 1))
    configs = topic.config(copies) | DEFAULTS | {name.replace("_", "."): value for name, value in changed.items()}
    return TopicState(tuple(Partition(p, 1, replicas, replicas) for p in range(topic.partitions)), configs)


def _faults(topic: Topic, state: TopicState, brokers: int = 3) -> list[tuple[str, str, str]]:
    return [(one.name, one.value, one.target) for one in find_faults([topic], {topic.name: state}, range(1, brokers + 1))]


def test_of_three_copies_two_have_a_record_before_it_is_acknowledged_and_of_one_that_one() -> None:
    assert [least_in_sync(copies) for copies in (1, 2, 3, 4)] == [1, 1, 2, 2]
    assert SUBMITTED.config(3)["min.insync.replicas"] == "2"
    assert SUBMITTED.config(1)["min.insync.replicas"] == "1"
    assert SUBMITTED.config(3)["unclean.leader.election.enable"] == "false"


@given(st.sampled_from(all_topics(("bank-001",))), st.integers(1, 5))
def test_a_topic_made_from_the_table_has_no_fault(topic: Topic, brokers: int) -> None:
    copies = min(MOST_COPIES, brokers)
    assert _faults(topic, _state(topic, copies), brokers) == []


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("min_insync_replicas", "1", "at least 2"),
        ("unclean_leader_election_enable", "true", "false"),
        ("message_timestamp_type", "CreateTime", "LogAppendTime"),
        ("cleanup_policy", "compact", "delete"),
        ("cleanup_policy", "compact,delete", "delete"),
        ("retention_ms", "604800000", "at least 2592000000"),
        ("retention_bytes", "1073741824", "-1"),
        ("max_message_bytes", "1000000", "at least 1048576"),
        ("min_insync_replicas", "", "at least 2"),
    ],
)
def test_a_setting_below_the_table_is_a_fault_with_its_value_and_the_wanted_one(name: str, value: str, wanted: str) -> None:
    dotted = name.replace("_", ".")
    assert _faults(SUBMITTED, _state(SUBMITTED, **{name: value})) == [(dotted, value, wanted)]


@pytest.mark.parametrize(
    "kept",
    [{"min_insync_replicas": "3"}, {"retention_ms": "-1"}, {"retention_ms": "99999999999"}, {"max_message_bytes": "9999999"}],
)
def test_a_setting_that_promises_more_is_no_fault(kept: dict[str, str]) -> None:
    assert _faults(SUBMITTED, _state(SUBMITTED, **kept)) == []


def test_more_copies_in_sync_than_there_are_copies_is_a_fault_for_nothing_could_be_written() -> None:
    assert _faults(SUBMITTED, _state(SUBMITTED, 1, min_insync_replicas="2"), brokers=1) == [("min.insync.replicas", "2", "1")]


def test_a_raw_topic_keeps_readable_records_no_longer_than_the_table_says_and_stores_nothing_compressed() -> None:
    bank = raw("bank-001")
    assert _faults(bank, _state(bank, retention_ms="-1")) == [("retention.ms", "-1", str(7 * 86_400_000))]
    assert _faults(bank, _state(bank, compression_type="producer")) == [("compression.type", "producer", "uncompressed")]


def test_fewer_copies_than_brokers_allow_is_a_fault_whose_command_keeps_the_copies_that_are_there() -> None:
    state = replace(_state(SUBMITTED, 1), partitions=tuple(Partition(p, 2, (2,), (2,)) for p in range(8)))
    (fault,) = find_faults([SUBMITTED], {SUBMITTED.name: state}, [1, 2, 3, 4])
    assert (fault.name, fault.value, fault.target) == ("the number of copies", "1", "3")
    plan = json.loads(re.findall(r"echo '(.*?)'", fault.command)[0])
    assert [one["partition"] for one in plan["partitions"]] == list(range(8))
    for one in plan["partitions"]:
        assert one["replicas"][0] == 2
        assert len(set(one["replicas"])) == 3
    assert len({tuple(one["replicas"]) for one in plan["partitions"]}) > 1  # not all on the same brokers


def test_copies_on_brokers_that_are_away_count() -> None:
    assert _faults(SUBMITTED, _state(SUBMITTED), brokers=1) == []


def test_a_topic_that_is_not_there_names_the_command_that_makes_it() -> None:
    (fault,) = find_faults([SUBMITTED], {}, [1, 2, 3])
    assert fault.command == create_command(SUBMITTED, 3)
    assert "--replication-factor 3" in fault.command
    assert "--config min.insync.replicas=2" in fault.command
    assert "--config unclean.leader.election.enable=false" in fault.command


def test_a_configuration_that_may_not_be_read_is_a_fault_because_nobody_knows_what_a_202_means_there() -> None:
    (fault,) = find_faults([SUBMITTED], {SUBMITTED.name: replace(_state(SUBMITTED), configs=None)}, [1, 2, 3])
    assert "--operation DescribeConfigs --topic signals.submitted.v1" in fault.command


def test_the_refusal_says_topic_value_wanted_value_and_the_exact_command() -> None:
    state = _state(SUBMITTED, min_insync_replicas="1")
    with pytest.raises(WrongTopics) as refused:
        refuse(find_faults([SUBMITTED], {SUBMITTED.name: state}, [1, 2, 3]))
    assert str(refused.value) == (
        "topic signals.submitted.v1: min.insync.replicas is 1, the topic table requires at least 2. Fix: kafka-configs.sh "
        "$KAFKA --alter --entity-type topics --entity-name signals.submitted.v1 --add-config min.insync.replicas=2"
    )


def test_other_partitions_than_the_table_s_are_a_fault_that_no_command_mends() -> None:
    state = _state(SUBMITTED)
    (fault,) = find_faults([SUBMITTED], {SUBMITTED.name: replace(state, partitions=state.partitions[:4])}, [1, 2, 3])
    assert (fault.name, fault.value, fault.target) == ("the number of partitions", "4", "8")
