"""Hubs through the stages: what many unrelated cases share neither scores, nor opens a case, nor is confirmed."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.cases.case import CaseStatus
from schemas.codec import decode
from schemas.notices import NotificationKind
from schemas.policy import Policy
from schemas.signals.assessed import AssessedSignal
from schemas.signals.hubs import MEASURED, Hubs
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS, RETRACTIONS, SUBMITTED
from stream_processors.domain.signals.hubs import sightings
from stream_processors.domain.signals.routing import case_id
from tests.support.builders import (
    HOTLINE,
    POLICY,
    TOKENIZER,
    account,
    action_record,
    after,
    move,
    phone,
    retraction,
    retraction_record,
    submission,
    submitted,
)
from tests.support.world import World, content

BOUND = POLICY.hubs.max_primary_subjects or 0
OWNED = Policy.model_validate(
    {
        **POLICY.model_dump(),
        "hubs": {
            "listed": [
                {"name": "icbc", "kind": "phone", "value": "95588", "owner": "bank-icbc", "label": "工商银行 95588"},
                {"name": "sites", "kind": "domain", "value": "sites.google.com"},
            ]
        },
    }
)
QUEUE = "public-security-630202"


def weak(n: int, *more: dict[str, str], hubs: Hubs = OWNED.hubs, **over: Any) -> Any:
    """A signal of 30 points about an account of its own, by one of three banks."""
    fields = {"amount": {"minor": 1_000_000}, "occurred_at": after(hours=-3), "indicators": [account(n), *more], **over}
    return submitted(f"bank-00{n % 3}", f"r-{n}", hubs=hubs, **fields)


async def up(policy: Policy = OWNED) -> World:
    return await World(policy=policy, workers=1).up()


async def assess(world: World, *signals: Any) -> list[AssessedSignal]:
    """Each in a poll of its own, so that what came before is known."""
    facts = []
    for signal in signals:
        partition, _ = world.submit(*submission(signal), SUBMITTED)
        assert await world.poll("assess", 0)
        facts.append(decode(ASSESSED, world.log.all(ASSESSED, partition)[-1].value).data)
    assert world.ended == []
    return facts


def cases(world: World) -> dict[str, Any]:
    """The newest state of each case."""
    changes = [decode(CASE_CHANGES, record.value).data for record in world.log.all(CASE_CHANGES)]
    return {change.case_id: change.case for change in changes if change.case is not None}


def marks(fact: AssessedSignal) -> list[str | None]:
    return [subject.hub for subject in fact.subjects]


async def test_ten_weak_signals_that_also_name_a_listed_hotline_open_no_case_and_score_as_without_it() -> None:
    told = await assess(await up(), *(weak(n, HOTLINE) for n in range(10)))
    control = await assess(await up(), *(weak(n) for n in range(10)))
    assert [fact.score for fact in told] == [fact.score for fact in control] == [30] * 10
    assert [fact.reasons for fact in told] == [fact.reasons for fact in control]
    assert not any(fact.routes for fact in told)
    assert all(marks(fact) == [None, "icbc"] for fact in told)


async def test_an_unlisted_number_that_unrelated_signals_share_is_a_hub_from_the_bound_on() -> None:
    """Until then it costs what any shared number does: the bound's price."""
    facts = await assess(await up(), *(weak(n, phone(7)) for n in range(BOUND + 10)))
    before, behind = facts[:BOUND], facts[BOUND:]
    assert [fact.score for fact in behind] == [30] * 10 and not any(fact.routes for fact in behind)
    assert all(marks(fact) == [None, MEASURED] for fact in behind)
    assert all(marks(fact) == [None, None] for fact in before)
    assert [fact.score for fact in before[:3]] == [30, 65, 75], "a real gang's phone still corroborates"
    assert all(fact.routes for fact in before[1:])


async def test_a_hub_is_none_any_more_when_the_signals_that_shared_it_were_taken_back() -> None:
    world = await up()
    await assess(world, *(weak(n, phone(7)) for n in range(BOUND + 1)))
    for n in range(3):
        world.submit(*retraction_record(retraction(f"bank-00{n % 3}", f"r-{n}")), RETRACTIONS)
    await world.drain()
    (fact,) = await assess(world, weak(50, phone(7)))
    assert marks(fact) == [None, None] and fact.score > 30


async def test_a_signal_of_a_hub_alone_has_a_case_of_its_own_that_nothing_joins() -> None:
    world = await up()
    grave = {"amount": {"minor": 60_000_000}}
    facts = await assess(world, *(weak(n, HOTLINE, indicators=[HOTLINE], **grave) for n in range(3)))
    assert [[route.case_id for route in fact.routes] for fact in facts] == [[case_id(QUEUE, fact.signal_id)] for fact in facts]
    assert len({fact.routes[0].case_id for fact in facts}) == 3
    assert {fact.score for fact in facts} == {50}


async def test_the_case_is_that_of_the_first_suspect_that_is_no_hub() -> None:
    """A measured hub is known only when its signal has its partition already; the case is the other suspect's all the same."""
    world, grave = await up(), {"amount": {"minor": 60_000_000}}
    await assess(world, *(weak(n, phone(7)) for n in range(BOUND + 1)))
    handle = {"kind": "handle", "value": "telegram:somebody"}
    (over,) = await assess(world, weak(60, indicators=[phone(7), handle], **grave))
    assert over.subjects[0].hub == MEASURED, "it chose the partition"
    assert [route.case_id for route in over.routes] == [
        case_id(queue, over.subjects[1].token) for queue in (route.queue for route in over.routes)
    ]
    (under,) = await assess(world, weak(61, indicators=[handle]))
    assert {route.case_id for route in under.routes} == {route.case_id for route in over.routes}, "it has a case already"
    (again,) = await assess(world, weak(62, indicators=[phone(7), handle], occurred_at=after(hours=-2)))
    assert {route.case_id for route in again.routes} == {route.case_id for route in over.routes}
    await world.drain()
    assert all(case.primary_subject.token == over.subjects[1].token for case in cases(world).values() if case.signal_count == 3)


async def test_a_subject_that_becomes_a_hub_keeps_its_case_and_nothing_joins_it_any_more() -> None:
    world = await up()
    (first,) = await assess(world, weak(60, indicators=[phone(7)], amount={"minor": 60_000_000}))
    own = case_id(QUEUE, first.subjects[0].token)
    assert [route.case_id for route in first.routes] == [own]
    await assess(world, *(weak(n, phone(7)) for n in range(BOUND + 1)))
    (later,) = await assess(world, weak(61, indicators=[phone(7)], amount={"minor": 60_000_000}))
    assert [route.case_id for route in later.routes] == [case_id(QUEUE, later.signal_id)]
    await world.drain()
    assert cases(world)[own].signal_count == 1


async def test_what_a_signal_of_hubs_alone_had_opened_is_emptied_when_it_is_taken_back() -> None:
    world = await up()
    (fact,) = await assess(world, weak(1, indicators=[HOTLINE], amount={"minor": 60_000_000}))
    world.submit(*retraction_record(retraction("bank-001", "r-1")), RETRACTIONS)
    await world.drain()
    assert cases(world)[fact.routes[0].case_id].status is CaseStatus.RETRACTED


async def test_the_ends_of_a_transfer_are_seen_beside_nothing_for_fan_in_looks_at_them() -> None:
    def paid(n: int) -> Any:
        event = {"type": "transfer", "payer": account(n, "suspect"), "payee": account(99), "amount": {"minor": 5_000}}
        return weak(n, indicators=[], event=event)

    facts = await assess(await up(), *(paid(n) for n in range(BOUND + 5)))
    assert marks(facts[-1]) == [None, None]
    assert {reason.rule: reason.points for reason in facts[-1].reasons}["fan_in"] == 30


async def test_a_site_with_many_pages_and_a_box_with_many_numbers_are_no_hubs() -> None:
    world = await up()
    site = {"kind": "domain", "value": "pay.example.com"}
    urls = [{"kind": "url", "value": f"https://pay.example.com/{n}"} for n in range(BOUND + 5)]
    pages = [weak(n, indicators=[url, site]) for n, url in enumerate(urls)]
    box = {"kind": "imei", "value": "490154203237518"}
    numbers = [weak(n, indicators=[phone(n), box], occurred_at=after(hours=-4)) for n in range(BOUND + 5)]
    assert marks((await assess(world, *pages))[-1]) == [None, None]
    assert marks((await assess(world, *numbers))[-1]) == [None, None]


async def test_a_listed_acquirer_gives_no_fan_in_and_no_repeated_pair() -> None:
    acquirer = account(99)
    listed = Hubs.model_validate({"listed": [{"name": "acquirer", "kind": "account", "value": acquirer["value"]}]})
    policy = Policy.model_validate({**OWNED.model_dump(), "hubs": listed.model_dump()})

    def paid(n: int) -> Any:
        event = {"type": "transfer", "payer": account(n % 6, "suspect"), "payee": acquirer, "amount": {"minor": 5_000 + n}}
        return weak(n, indicators=[], event=event, hubs=listed)

    facts = await assess(await up(policy), *(paid(n) for n in range(30)))
    rules = {reason.rule for fact in facts for reason in fact.reasons}
    assert rules == {"kind", "amount", "velocity"}, "the payer's own sightings, for each pays five times"
    assert all(fact.subjects[0].hub is None and fact.subjects[1].hub == "acquirer" for fact in facts)


async def test_a_tip_about_a_hub_joins_nobody_s_case() -> None:
    world = await up()
    await assess(world, *(weak(n, phone(7)) for n in range(BOUND + 1)))
    tip = weak(80, indicators=[phone(7)]).model_copy(update={"institution": "public", "trust": "low"})
    (fact,) = await assess(world, tip)
    assert marks(fact) == [MEASURED]
    assert [route.case_id for route in fact.routes] == [case_id(QUEUE, fact.signal_id)]


async def _confirm(world: World, case: str) -> Any:
    for kind in ("claim", "dispose"):
        world.submit(
            *action_record(move(kind, case_id=case, disposition="confirmed" if kind == "dispose" else None)), CASE_COMMANDS
        )
        await world.drain()
    (verdict,) = [
        one for record in world.log.all(CASE_CHANGES) if (one := decode(CASE_CHANGES, record.value).data.verdict) is not None
    ]
    return verdict


async def test_a_confirmed_case_confirms_its_tools_and_no_hub() -> None:
    world, grave = await up(), {"amount": {"minor": 60_000_000}}
    await assess(world, *(weak(n, phone(7)) for n in range(BOUND + 1)))
    (fact,) = await assess(world, weak(70, phone(7), phone(8), HOTLINE, **grave))
    await world.drain()
    verdict = await _confirm(world, fact.routes[0].case_id)
    by_value = {value: TOKENIZER.token("phone", value) for value in ("+8613800000008", "+8613800000007", "95588")}
    assert set(verdict.tokens) == {fact.subjects[0].token, by_value["+8613800000008"]}
    (next_one,) = await assess(world, weak(71, HOTLINE))
    assert "confirmed" not in {reason.rule for reason in next_one.reasons}


async def test_a_confirmed_case_of_a_hub_alone_confirms_nobody() -> None:
    world = await up()
    (fact,) = await assess(world, weak(1, indicators=[HOTLINE], amount={"minor": 60_000_000}))
    await world.drain()
    assert (await _confirm(world, fact.routes[0].case_id)).tokens == ()


def told(world: World) -> list[Any]:
    issued = [decode(NOTIFICATIONS, record.value).data.notification for record in world.log.all(NOTIFICATIONS)]
    return [one for one in issued if one.kind is NotificationKind.IMPERSONATION]


async def test_the_owner_of_a_hotline_is_told_once_a_region_and_day_and_learns_nothing_else() -> None:
    world, grave = await up(), {"amount": {"minor": 60_000_000}}
    await assess(world, *(weak(n, HOTLINE, **grave) for n in range(4)))
    await world.drain()
    found = told(world)
    assert {(one.notification_id, one.recipient) for one in found} == {("impersonation/icbc/630202/2026-03-02", "bank-icbc")}
    notice = found[0]
    assert all(one == notice for one in found), "nothing tells whose case asked for it"
    assert notice.data == {"label": "工商银行 95588", "subject_kind": "phone", "region": "630202", "day": "2026-03-02"}
    assert (notice.case_id, notice.subject, notice.order_id) == ("hub-icbc", None, None)
    boxes = [value for bucket in world.redis["project"].buckets for key, value in bucket.values.items() if key == "i:bank-icbc"]
    assert [len(box) for box in boxes] == [1]


@pytest.mark.parametrize("over", [{"kind": "organized_crime"}, {"reporter": "bank-icbc"}, {"weak": True}])
async def test_an_owner_hears_nothing_of_leads_of_organized_crime_of_its_own_reports_and_of_what_no_case_holds(
    over: dict[str, Any],
) -> None:
    world, fields = await up(), {} if over.get("weak") else {"amount": {"minor": 60_000_000}}
    signal = weak(1, HOTLINE, kind=over.get("kind", "telecom_fraud"), **fields)
    await assess(world, signal.model_copy(update={"institution": over.get("reporter", signal.institution)}))
    await world.drain()
    assert told(world) == []


async def test_a_rebuilt_state_knows_the_same_hubs() -> None:
    world = await up()
    await assess(world, *(weak(n, phone(7)) for n in range(BOUND + 1)))
    world.redis["assess"].flush()
    await world.restart("assess", 0)
    (fact,) = await assess(world, weak(90, phone(7)))
    assert (marks(fact), fact.score) == ([None, MEASURED], 30)


async def test_one_content_before_and_after_a_list_changed_is_two_and_neither_takes_the_other_s_sightings_away() -> None:
    world = await up()
    listed = Hubs.model_validate({"listed": [{"name": "acquirer", **{k: account(1)[k] for k in ("kind", "value")}}]})
    body = {"indicators": [account(1), phone(5)]}
    first, second = submitted("bank-001", "r-1", **body), submitted("bank-001", "r-2", hubs=listed, **body)
    assert first.content_id != second.content_id and first.primary.token != second.primary.token
    await assess(world, first, second)
    world.submit(*retraction_record(retraction("bank-001", "r-1")), RETRACTIONS)
    await world.drain()
    (third,) = await assess(world, submitted("bank-002", "r-3", indicators=[phone(5)]))
    assert any(reason.rule == "institutions" for reason in third.reasons), "the second still stands"
    await world.drain()
    for stage in world.stages:
        assert content(world.redis[stage]) == content(await world.afresh(stage))


async def test_a_lead_is_told_nothing_by_hubs_that_other_leads_made() -> None:
    world = await up()
    for n in range(BOUND + 2):
        await assess(world, submitted("bank-009", f"l-{n}", kind="organized_crime", indicators=[account(50 + n), phone(5)]))
    (probe,) = await assess(world, submitted("bank-001", "p-1", kind="organized_crime", indicators=[phone(5)]))
    assert probe.routes[0].case_id == case_id(probe.routes[0].queue, probe.subjects[0].token + "~lead")


def test_a_number_that_is_named_as_card_and_as_account_is_seen_once() -> None:
    card = {"kind": "card", "value": account(7)["value"]}
    signal = submitted("bank-001", "c-1", indicators=[account(1), card, account(7)])
    names = [name for name, _ in sightings(signal)]
    assert names == [signal.primary.token, TOKENIZER.subject("account", account(7)["value"])]
