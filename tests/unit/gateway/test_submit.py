"""One way to submit a command: in whose name, what an answer waits for, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import RedisError

from gateway.adapters.idempotency import StateUnavailable
from gateway.commands.submit import FIRST_PAUSE_S, LAST_PAUSE_S, Command, Submitter
from gateway.http.caller import Caller, Role
from gateway.http.problems import Problem
from schemas.codec import decode
from schemas.notifications.webhook import Endpoints
from schemas.topics import ENDPOINTS
from stream_processors.views.reading import Rebuilding
from tests.unit.gateway.fakes import FakeLog

BANK = Caller("bank-001", Role.INSTITUTION, (), 0.0)
COMMAND = Command("chg-1", "bank-001", Endpoints(institution="bank-001", revision=1, change_id="chg-1", endpoints=()))


def submitter(log: FakeLog | None = None, wait_s: float = 10.0) -> tuple[Submitter, list[float]]:
    """And the pauses that it makes."""
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    return Submitter(log or FakeLog(), wait_s, 2, sleep=sleep), pauses


@pytest.mark.parametrize(
    ("role", "actor"),
    [
        (Role.INSTITUTION, "institution:x-1"),
        (Role.OFFICER, "officer:x-1"),
        (Role.COORDINATOR, "officer:x-1"),
    ],
)
def test_the_log_names_who_acts_in_one_way(role: Role, actor: str) -> None:
    assert Caller("x-1", role, (), 0.0).actor == actor


async def test_a_command_is_appended_in_the_name_of_its_caller() -> None:
    log = FakeLog()
    await submitter(log)[0].append_one(ENDPOINTS, COMMAND, BANK, advice="list them")
    [entry] = log.all(ENDPOINTS)
    envelope = decode(ENDPOINTS, entry.value)
    assert (entry.key, envelope.id, envelope.subject) == (b"bank-001", "chg-1", "bank-001")
    assert (envelope.actor, envelope.source) == ("institution:bank-001", "/gateway")


async def test_what_the_broker_did_not_acknowledge_is_a_503_with_advice() -> None:
    log = FakeLog()
    log.away = True
    with pytest.raises(Problem, match="the broker did not acknowledge; list them") as raised:
        await submitter(log)[0].append_one(ENDPOINTS, COMMAND, BANK, advice="list them")
    assert raised.value.kind.slug == "log-unavailable" and raised.value.kind.status == 503


@pytest.mark.parametrize("trouble", [None, Rebuilding("views"), RedisError("away"), StateUnavailable("away"), 1])
async def test_views_that_are_away_or_behind_make_an_outcome_late_and_not_wrong(trouble: Any) -> None:
    one, pauses = submitter()
    answers: list[Any] = [trouble] * 6 + [2]

    async def read() -> int | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return None if answer is None else int(answer)

    assert await one.await_outcome(read, lambda revision: revision >= 2, one.deadline()) == 2
    assert pauses[0] == FIRST_PAUSE_S and pauses[-1] == LAST_PAUSE_S and pauses == sorted(pauses)


async def test_without_an_outcome_the_wait_ends_with_its_deadline() -> None:
    one, pauses = submitter(wait_s=0.0)

    async def read() -> int | None:
        return None

    assert await one.await_outcome(read, lambda _: True, one.deadline()) is None and not pauses
