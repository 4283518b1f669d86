"""Who waits for what: only for what passes by itself, a bounded number of times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
)
from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from stream_processors.runtime.cluster_identity import WrongLog
from stream_processors.runtime.kafka import looking
from stream_processors.runtime.log import CannotLook, LostLog
from stream_processors.runtime.retry_policy import find_cause, keep_trying, look_if_possible
from stream_processors.runtime.settings import Settings
from stream_processors.runtime.topic_check import WrongTopics
from stream_processors.runtime.waiting import Waiting
from stream_processors.state.restore import OtherLog
from stream_processors.state.store import LostState, MarkMoved

PASSING = [
    (CannotLook("ends"), "kafka"),
    (KafkaConnectionError("refused"), "kafka"),
    (KafkaTimeoutError("40 s"), "kafka"),
    (NodeNotReadyError("2"), "kafka"),
    (LeaderNotAvailableError(), "kafka"),
    (RedisConnectionError("refused"), "redis"),
    (BusyLoadingError("loading"), "redis"),
]
FATAL = [
    OtherLog("another"),
    LostState("gone"),
    MarkMoved("STALE"),
    LostLog("another owner"),
    WrongLog("missing"),
    WrongTopics("one copy"),
    TopicAuthorizationFailedError("no"),
    AuthenticationError("password"),
    ResponseError("OOM"),
    ValueError("a fault of ours"),
    OSError("disk"),
]


def _named(errors: list[Exception]) -> list[str]:
    return [type(error).__name__ for error in errors]


@pytest.fixture
def waiting(tmp_path: Path) -> Waiting:
    return Waiting(Settings(home=tmp_path, profile="p", worker_id="w-0"), "assess")


def failing(*errors: Exception | None) -> tuple[Callable[[], Awaitable[str]], list[int]]:
    """Work that fails so, one after the other, and then succeeds."""
    calls: list[int] = []

    async def work() -> str:
        calls.append(len(calls))
        error = errors[len(calls) - 1] if len(calls) <= len(errors) else None
        if error is not None:
            raise error
        return "done"

    return work, calls


class Pauses:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, pause_s: float) -> None:
        self.slept.append(pause_s)


@pytest.mark.parametrize(("error", "cause"), PASSING, ids=_named([one for one, _ in PASSING]))
async def test_a_start_is_tried_again_while_what_it_needs_is_not_there_yet(
    error: Exception, cause: str, waiting: Waiting
) -> None:
    work, calls = failing(error, error)
    pauses = Pauses()
    assert await keep_trying(work, waiting, (1, 2, 4), sleep=pauses) == "done"
    assert (len(calls), pauses.slept) == (3, [1, 2])
    assert find_cause(error) == cause
    assert waiting.causes == ()


@pytest.mark.parametrize("error", FATAL, ids=_named(FATAL))
async def test_what_must_not_be_ends_a_start_at_once(error: Exception, waiting: Waiting) -> None:
    work, calls = failing(error)
    with pytest.raises(type(error)):
        await keep_trying(work, waiting, (1, 2, 4), sleep=Pauses())
    assert len(calls) == 1


async def test_the_tries_are_counted_and_the_last_error_ends_the_process(waiting: Waiting) -> None:
    work, calls = failing(*[KafkaConnectionError("refused")] * 10)
    with pytest.raises(KafkaConnectionError):
        await keep_trying(work, waiting, (1, 2, 4), sleep=Pauses())
    assert len(calls) == 4


async def test_while_it_waits_it_says_for_what(waiting: Waiting) -> None:
    seen: list[tuple[str, ...]] = []

    async def sleep(pause_s: float) -> None:
        seen.append(waiting.causes)

    work, _ = failing(KafkaConnectionError("refused"), BusyLoadingError("loading"))
    await keep_trying(work, waiting, (1, 2), sleep=sleep)
    assert seen == [("kafka",), ("kafka", "redis")]


async def test_an_assignment_does_not_wait_for_redis_because_a_lost_store_could_hide_behind_it(waiting: Waiting) -> None:
    work, calls = failing(RedisConnectionError("broken"))
    with pytest.raises(RedisConnectionError):
        await keep_trying(work, waiting, (1, 2), causes=("kafka",), sleep=Pauses())
    assert len(calls) == 1


async def test_an_idle_worker_that_cannot_look_stays_and_says_why_until_it_can(waiting: Waiting) -> None:
    async def cannot() -> None:
        raise CannotLook("the ends of signals.assessed.v1: KafkaTimeoutError")

    async def can() -> None:
        return

    for _ in range(3):
        await look_if_possible(cannot, waiting)
    assert waiting.causes == ("kafka",)
    await look_if_possible(can, waiting)
    assert waiting.causes == ()


async def test_an_idle_worker_that_cannot_look_for_longer_than_the_bound_ends(waiting: Waiting) -> None:
    async def cannot() -> None:
        raise CannotLook("ends")

    await look_if_possible(cannot, waiting)
    with pytest.raises(CannotLook):
        await look_if_possible(cannot, waiting, bound_s=0.0)


@pytest.mark.parametrize(
    "error", [LostLog("another owner"), LostState("gone"), KafkaError("odd"), RedisConnectionError("broken")]
)
async def test_whatever_else_a_look_meets_ends_the_process(error: Exception, waiting: Waiting) -> None:
    async def check() -> None:
        raise error

    with pytest.raises(type(error)):
        await look_if_possible(check, waiting)


def test_a_look_up_that_is_refused_for_good_is_no_could_not_look() -> None:
    with pytest.raises(TopicAuthorizationFailedError), looking("the ends"):
        raise TopicAuthorizationFailedError("no")
    with pytest.raises(CannotLook), looking("the ends"):
        raise KafkaTimeoutError("40 s")
