"""What the gateway says of the cluster: by what was seen, and how long ago."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.cluster_watch import (
    NO_QUORUM_S,
    SILENT_S,
    ClusterWatch,
    Observation,
    judge,
    list_unwritable,
    why_unwritable,
)
from gateway.adapters.kafka import WRITTEN
from schemas.topics import SUBMITTED, TOPICS, Topic
from stream_processors.runtime.cluster_view import View
from stream_processors.runtime.topic_check import Fault, Partition, TopicState

ALL = (1, 2, 3)


def view(leader: int = 1, in_sync: tuple[int, ...] = ALL, only: tuple[int, ...] | None = None, **changed: str) -> View:
    """Every topic of the gateway; the partitions of `only` (all by default) of the signals have this leader and these copies."""

    def state(topic: Topic) -> TopicState:
        hit = range(topic.partitions) if only is None else only
        parts = [
            Partition(p, leader, ALL, in_sync) if topic is SUBMITTED and p in hit else Partition(p, 1, ALL, ALL)
            for p in range(topic.partitions)
        ]
        configs = topic.config(3) | {"retention.bytes": "-1"} | {name.replace("_", "."): value for name, value in changed.items()}
        return TopicState(tuple(parts), configs)

    return View(ALL, {topic.name: state(topic) for topic in WRITTEN})


def observation(found: View, **changed: object) -> Observation:
    return Observation(found, 0.5, 0.5, (), {topic.name: 2 for topic in WRITTEN})._replace(**changed)  # type: ignore[arg-type]


def test_a_whole_cluster_is_ok() -> None:
    assert judge(observation(view())) == (True, "ok")


def test_a_cluster_that_was_never_seen_is_not_ready() -> None:
    assert judge(Observation()) == (False, "no broker has described the cluster yet")


def test_what_was_seen_long_ago_is_not_ready() -> None:
    assert judge(observation(view(), view_age_s=SILENT_S + 1)) == (False, "no broker has answered for 6 s")


def test_controllers_without_a_quorum_are_not_ready_though_every_partition_has_its_copies() -> None:
    health = judge(observation(view(), quorum_age_s=NO_QUORUM_S + 1))
    assert not health.is_ready
    assert "no quorum for 9 s" in health.text


def test_an_election_of_controllers_is_no_alarm() -> None:
    assert judge(observation(view(), quorum_age_s=NO_QUORUM_S - 1)).is_ready


def test_a_cluster_that_cannot_tell_its_quorum_is_judged_by_the_rest() -> None:
    assert judge(observation(view(), quorum_age_s=None)).is_ready


def test_too_few_copies_everywhere_are_not_ready() -> None:
    health = judge(observation(view(in_sync=(1,))))
    assert not health.is_ready
    assert "has 1 in-sync replicas of the 2 that an acknowledgement requires" in health.text


def test_single_partitions_that_cannot_be_written_are_told_and_leave_it_ready_for_the_others() -> None:
    health = judge(observation(view(leader=-1, only=(2, 5))))
    assert health.is_ready
    assert health.text == f"2 of 8 partitions of {SUBMITTED.name} accept no writes: partition 2 has no leader"


def test_two_copies_of_three_are_enough() -> None:
    assert judge(observation(view(in_sync=(1, 3)))) == (True, "ok")


def test_a_topic_below_the_table_is_not_ready_and_the_sentence_is_the_answer() -> None:
    fault = Fault("signals.submitted.v1", "min.insync.replicas", "1", "at least 2", "mend")
    assert judge(observation(view(), faults=(fault,))) == (False, fault.sentence())


@given(
    st.lists(st.sampled_from([(), (1,), (1, 2), ALL]), min_size=8, max_size=8),
    st.lists(st.sampled_from([-1, 1]), min_size=8, max_size=8),
)
def test_a_partition_is_writable_exactly_when_it_has_a_leader_and_the_promised_copies(
    in_sync: list[tuple[int, ...]], leading: list[int]
) -> None:
    parts = tuple(Partition(p, leading[p], ALL, in_sync[p]) for p in range(8))
    seen = observation(View(ALL, {SUBMITTED.name: TopicState(parts, {})}))
    stopped = [p for p in range(8) if leading[p] < 0 or len(in_sync[p]) < 2]
    assert list_unwritable(seen, SUBMITTED) == stopped
    assert judge(seen).is_ready == (len(stopped) < 8)


def test_what_is_not_known_of_a_partition_stops_nobody() -> None:
    assert why_unwritable(observation(View(ALL, {})), SUBMITTED, 0) is None


def test_the_gateway_holds_every_topic_that_it_writes_against_the_table() -> None:
    assert {topic.name for topic in WRITTEN} == {one.name for one in TOPICS.values() if "gateway" in one.producers}
    assert len(WRITTEN) == 6


async def test_a_watch_takes_what_it_sees_with_its_time_and_says_where_to_begin() -> None:
    now = [100.0]
    watch = ClusterWatch({"bootstrap_servers": ["a:1", "b:2"]}, WRITTEN, clock=lambda: now[0])
    assert not watch.answers
    assert not watch.is_checked
    watch.take_view(view(), with_configs=True)
    watch.take_quorum(True)
    assert watch.health == (True, "ok")
    assert watch.bootstrap() == ["a:1", "b:2"]
    now[0] += 4
    assert not watch.answers
    assert watch.health.is_ready
    now[0] += 2
    assert not watch.health.is_ready


async def test_a_setting_that_is_lowered_while_it_runs_closes_the_gateway_and_mended_opens_it() -> None:
    watch = ClusterWatch({"bootstrap_servers": "a:1"}, WRITTEN, clock=lambda: 0.0)
    watch.take_quorum(True)
    watch.take_view(view(min_insync_replicas="1"), with_configs=True)
    assert not watch.is_checked
    assert "min.insync.replicas is 1" in watch.health.text
    watch.take_view(view(), with_configs=True)
    assert watch.is_checked
    assert watch.health.is_ready


async def test_a_partition_short_of_copies_is_refused_only_while_that_was_seen_a_moment_ago() -> None:
    now = [0.0]
    watch = ClusterWatch({"bootstrap_servers": "a:1"}, WRITTEN, clock=lambda: now[0])
    watch.take_view(view(in_sync=(1,), only=(3,)), with_configs=True)
    assert watch.why_not(SUBMITTED, 3)
    assert watch.why_not(SUBMITTED, 4) is None
    now[0] += 10
    assert watch.why_not(SUBMITTED, 3) is None
