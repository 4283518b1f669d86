"""A gateway whose log lost what it had acknowledged takes nothing more, and says why where operators look."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.adapters.kafka import DAMAGED, LogUnavailable, Position, RequestLog
from gateway.adapters.producers import Serving
from schemas.topics import SUBMITTED
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import FakeLog, signal
from tests.unit.gateway.test_signals import slug

SENTENCE = "signals.submitted.v1/3 ends at 132, but assess refers to it up to 181"


async def test_a_damaged_log_takes_no_signal_and_readiness_says_why(client: Client, log: FakeLog):
    log.damage = SENTENCE
    answer = await client().post("/v1/signals", json=signal())
    assert (answer.status_code, slug(answer), answer.json()["detail"]) == (503, "log-unavailable", DAMAGED)
    assert log.records == {}
    ready = await client(None).get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["log"]) == (503, SENTENCE)
    log.damage = None
    assert (await client().post("/v1/signals", json=signal())).status_code == 202
    assert (await client(None).get("/readyz")).json()["checks"]["log"] == "ok"


@pytest.fixture
def kafka() -> RequestLog:
    """Never opened: only what it does with places that the broker gives."""
    return RequestLog({}, 1)


def position_of(kafka: RequestLog, offset: int, before: Mapping[int, int]) -> Position | LogUnavailable:
    return kafka._position_of(SUBMITTED, Position(SUBMITTED.name, 3, offset, 1), before)


def newest(kafka: RequestLog) -> Mapping[int, int]:
    return kafka._landings.newest(SUBMITTED, [3])


def test_an_append_that_lands_behind_the_newest_acknowledged_one_is_not_acknowledged(kafka: RequestLog):
    assert position_of(kafka, 180, newest(kafka)) == Position(SUBMITTED.name, 3, 180, 1)
    assert isinstance(position_of(kafka, 132, newest(kafka)), LogUnavailable)
    assert (
        kafka.damage is not None and "signals.submitted.v1/3: a record landed at 132 after 180 was acknowledged" in kafka.damage
    )


def test_answers_of_appends_that_ran_beside_each_other_may_come_in_any_order(kafka: RequestLog):
    begun_before = newest(kafka)
    assert isinstance(position_of(kafka, 181, begun_before), Position)
    assert isinstance(position_of(kafka, 180, begun_before), Position)
    assert kafka.damage is None


async def test_a_damaged_log_appends_nothing(kafka: RequestLog):
    kafka._producers.current = Serving(object())
    kafka.report("assess", SENTENCE)
    assert [str(one) for one in await kafka.append(SUBMITTED, [])] == []
    (refused,) = await kafka.append(SUBMITTED, [None])  # type: ignore[list-item]
    assert str(refused) == DAMAGED
    kafka.report("assess", None)
    assert kafka.damage is None
