"""What officers confirmed once, what befell a victim, how money moved: known to the signals that come later."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.codec import decode
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, SUBMITTED
from stream_processors.topology import STAGES
from tests.support.builders import account, action_record, after, move, phone, submission, submitted
from tests.support.world import World, content, sources


@pytest.fixture
async def world() -> World:
    return await World(workers=1).up()


async def assessed(world: World, signal: Any) -> AssessedSignal:
    place = world.submit(*submission(signal), SUBMITTED)
    await world.drain()
    fact: AssessedSignal = sources(world.log.all(ASSESSED), ASSESSED)[place][0].data
    assert fact.outcome is AssessOutcome.ASSESSED
    return fact


def told(fact: AssessedSignal) -> dict[str, dict[str, int | str]]:
    return {reason.rule: reason.evidence for reason in fact.reasons}


async def disposed(world: World, fact: AssessedSignal, disposition: str, officer: str = "officer-a") -> None:
    case_id = fact.routes[0].case_id
    for kind, more in (("claim", {}), ("dispose", {"disposition": disposition})):
        action = move(kind, officer, case_id, action_id=f"{kind}-{disposition}-{world.clock.ms}-{case_id}", **more)
        world.submit(*action_record(action), CASE_COMMANDS)
    await world.drain()


def big(number: int, *others: dict[str, str], institution: str = "bank-001", **over: Any) -> Any:
    amount = {"minor": 60_000_000, "currency": "CNY"}
    return submitted(institution, f"r-{number}-{institution}", indicators=[account(number), *others], amount=amount, **over)


async def test_a_subject_of_a_confirmed_case_scores_from_then_on(world: World) -> None:
    first = await assessed(world, big(1, phone(7)))
    await disposed(world, first, "confirmed")
    again = await assessed(world, big(1, institution="bank-002"))
    assert told(again)["confirmed"] == {"cases": 1}
    with_its_phone = await assessed(world, big(2, phone(7)))
    assert told(with_its_phone)["confirmed"] == {"cases": 1}
    assert "confirmed" not in told(await assessed(world, big(3)))


@pytest.mark.parametrize("disposition", ["false_positive", "insufficient"])
async def test_what_was_not_confirmed_does_not_count(world: World, disposition: str) -> None:
    await disposed(world, await assessed(world, big(1)), disposition)
    assert "confirmed" not in told(await assessed(world, big(1, institution="bank-002")))


async def test_a_later_disposal_of_the_case_takes_the_verdict_back(world: World) -> None:
    first = await assessed(world, big(1))
    await disposed(world, first, "confirmed")
    assert "confirmed" in told(await assessed(world, big(1, institution="bank-002")))
    await disposed(world, first, "false_positive", "officer-b")
    assert "confirmed" not in told(await assessed(world, big(1, institution="bank-003")))


async def test_another_account_of_a_confirmed_case_is_not_confirmed_but_deals_with_it_are_seen(world: World) -> None:
    await disposed(world, await assessed(world, big(1, account(2))), "confirmed")
    assert "confirmed" not in told(await assessed(world, big(2)))
    event = {"type": "transfer", "payer": account(2, "suspect"), "payee": account(1), "amount": {"minor": 900}}
    assert told(await assessed(world, submitted(event=event, indicators=[])))["confirmed"] == {"cases": 1}


async def test_verdicts_survive_a_lost_redis(world: World) -> None:
    await disposed(world, await assessed(world, big(1)), "confirmed")
    world.redis["assess"].flush()
    await world.restart("assess", 0)
    assert "confirmed" in told(await assessed(world, big(1, institution="bank-002")))
    for stage in STAGES:
        assert content(world.redis[stage]) == content(await world.afresh(stage))


async def test_every_disposal_says_whom_it_speaks_of(world: World) -> None:
    fact = await assessed(world, big(1, account(2), phone(7), phone(8, "victim")))
    await disposed(world, fact, "confirmed")
    verdicts = [found for record in world.log.all(CASE_CHANGES) if (found := decode(CASE_CHANGES, record.value).data.verdict)]
    tokens = {subject.token for subject in fact.subjects if subject.kind == "phone" and subject.role == "suspect"}
    assert {frozenset(one.tokens) for one in verdicts} == {frozenset({fact.subjects[0].token, *tokens})}
    assert all(one.confirmed_until_ms > world.clock.ms for one in verdicts)


async def test_a_victim_that_was_one_before_and_a_call_before_the_payment_are_seen(world: World) -> None:
    victim = phone(7, "victim")
    await assessed(world, submitted(reference="old", indicators=[account(3), victim], occurred_at=after(days=-3)))
    call = {"type": "call", "caller": phone(8), "callee": {"kind": "phone", "value": "13800000007"}, "at": after(minutes=-50)}
    first = told(await assessed(world, submitted("telecom-1", event=call, indicators=[], occurred_at=after(minutes=-50))))
    assert first["repeat_victim"] == {"events": 1} and "contact" not in first
    transfer = {"type": "transfer", "payer": account(9, "victim"), "payee": account(4), "amount": {"minor": 900}}
    paid = told(await assessed(world, submitted(event=transfer, indicators=[victim])))
    assert paid["contact"] == {"gap_s": 3000} and paid["repeat_victim"] == {"events": 1}


async def test_a_victim_collects_nothing(world: World) -> None:
    """The account of one who pays five swindlers has no fan-out, and is no suspect when it is reported as one later."""
    for number in range(5):
        event = {"type": "transfer", "payer": account(9, "victim"), "payee": account(number), "amount": {"minor": 900}}
        fact = await assessed(world, submitted(reference=f"t-{number}", event=event, indicators=[]))
    assert not {"fan_out", "velocity", "pass_through"} & told(fact).keys()
    assert not {"velocity", "fan_out"} & told(await assessed(world, submitted(reference="x", indicators=[account(9)]))).keys()


async def test_an_echo_of_anothers_signal_counts_once(world: World) -> None:
    first = await assessed(world, submitted("bank-001", "a"))
    echo = await assessed(world, submitted("platform-1", "b", derived_from=first.signal_id))
    assert not {"velocity", "institutions"} & told(echo).keys()
    later = told(await assessed(world, submitted("bank-002", "c")))
    assert (later["velocity"], later["institutions"]) == ({"sightings": 2}, {"institutions": 2})


async def test_the_banks_of_both_ends_report_one_transfer(world: World) -> None:
    event = {"type": "transfer", "payer": account(1, "suspect"), "payee": account(2), "amount": {"minor": 190_000}}
    for bank in ("bank-001", "bank-002"):
        fact = await assessed(world, submitted(bank, event=event, indicators=[]))
    assert "repeated_pair" not in told(fact)
    again = submitted("bank-001", "again", event={**event, "amount": {"minor": 190_001}}, indicators=[])
    assert told(await assessed(world, again))["repeated_pair"] == {"transfers": 2}


async def test_platform_indicators_give_linked_copies_and_the_county_stays_in_charge(world: World) -> None:
    site = {"kind": "url", "value": "https://pay.example.com/login"}
    fact = await assessed(world, big(1, site))
    queues = [route.queue for route in fact.routes]
    assert queues == ["public-security-630202", "cyberspace-office-630200", "telecom-authority-630200"]
    assert [route.queue for route in (await assessed(world, big(2))).routes] == ["public-security-630202"]
