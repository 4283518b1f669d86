"""The sender: who is called with what, in which order, when again, and what the log says of it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator

import orjson
import pytest

from schemas.codec import decode
from schemas.common import instant_ms
from schemas.notifications.delivery import DeliveryState
from schemas.topics import DEADLETTER, DELIVERIES, ENDPOINTS, NOTIFICATIONS, Topic
from stream_processors.agents import webhook_sender as calls
from stream_processors.runtime.crash_points import POINTS
from stream_processors.webhooks import delivery_queue as lanes
from stream_processors.webhooks.endpoints import disable, enable, rotate
from stream_processors.webhooks.policy import Hooks
from stream_processors.webhooks.responses import Answer, CallOutcome
from tests.support.builders import SEALER
from tests.support.calling import Calling
from tests.support.crashing import crashing
from tests.support.deliveries import ordered, where
from tests.support.hooks import hook_id, notice_record, url_of

URL, OTHER = url_of("hook-1"), url_of("hook-2")
DAY_S = 86_400


@pytest.fixture
async def calling() -> AsyncIterator[Calling]:
    with crashing():
        yield await Calling().up()


def states(calling: Calling) -> list[tuple[str, str]]:
    return [(one.state.value, one.notification_id) for one in calling.marks()]


async def test_a_notice_is_called_out_signed_and_marked_as_received(calling: Calling) -> None:
    calling.register()
    one = calling.issue(1)
    await calling.work()
    assert calling.receivers.got == {URL: [hook_id(one)]}
    told = orjson.loads(calling.receivers.told[hook_id(one)])
    assert told["type"] == "feedback"
    assert told["data"]["notification_id"] == one.notification_id
    assert told["data"]["case_id"] == "case-1"
    [mark] = calling.marks()
    assert (mark.state, mark.channel, mark.attempt, mark.endpoint_id) == (DeliveryState.RECEIVED, "webhook", 1, "hook-1")
    assert mark.notified_at == one.at
    assert calling.pending() == 0


async def test_a_call_says_which_order_it_is_and_nothing_readable_of_a_person(calling: Calling) -> None:
    calling.register(kinds=("order.suspend_number",))
    change = ordered()
    [one] = change.notifications
    assert one.recipient == "bank-001" and change.case is not None
    calling.world.submit(*notice_record(one, 1, change.case.orders[0]), NOTIFICATIONS)
    await calling.work()
    body = calling.receivers.told[hook_id(one)]
    told = orjson.loads(body)
    assert told["type"] == "order.suspend_number"
    assert told["data"]["order_id"] == "ord-1"
    assert set(told["data"]) == {
        "notification_id", "kind", "template", "zh", "en", "at", "case_id", "order_id", "dissuasion_id", "data", "link"
    }  # fmt: skip
    for hidden in (b"6222021000000001", b"sealed", b"token"):
        assert hidden not in body


async def test_a_call_does_not_tell_the_basis_of_an_order_but_where_it_is_read(calling: Calling) -> None:
    calling.register(kinds=("order.suspend_number",))
    change = ordered(basis="王某某已报案")
    [one] = change.notifications
    assert change.case is not None
    calling.world.submit(*notice_record(one, 1, change.case.orders[0]), NOTIFICATIONS)
    await calling.work()
    body = calling.receivers.told[hook_id(one)]
    told = orjson.loads(body)
    assert "报案".encode() not in body and "basis" not in told["data"]["data"]
    assert told["data"]["data"]["kind"] == "suspend_number" and told["data"]["link"] == f"/v1/inbox/{one.notification_id}"


async def test_only_what_an_endpoint_wants_goes_there_and_each_endpoint_gets_its_own(calling: Calling) -> None:
    calling.register("hook-1", kinds=("feedback",))
    calling.register("hook-2", kinds=("order", "feedback"))
    feedback, dissuasion = calling.issue(1), calling.issue(2, kind="dissuasion")
    elsewhere = calling.issue(3, recipient="bank-002")
    await calling.work()
    assert calling.receivers.got == {URL: [hook_id(feedback)], OTHER: [hook_id(feedback)]}
    assert {one.endpoint_id for one in calling.marks()} == {"hook-1", "hook-2"}
    assert hook_id(dissuasion) not in calling.receivers.told
    assert hook_id(elsewhere) not in calling.receivers.told


async def test_what_was_issued_before_the_registration_is_not_called_out(calling: Calling) -> None:
    calling.issue(1)
    await calling.work()
    calling.world.clock.forward(1)
    calling.register()
    later = calling.issue(2)
    await calling.work()
    assert calling.receivers.got == {URL: [hook_id(later)]}


async def test_a_notice_that_is_read_before_the_registration_that_came_before_it_is_called_out(calling: Calling) -> None:
    calling.register()
    one = calling.issue(1)
    p = where("bank-001")
    for worker in calling.world.workers["webhook"]:
        if p in worker.owned:
            batch = {(NOTIFICATIONS.name, p): calling.world.log.all(NOTIFICATIONS, p)}
            await worker.agent.step(batch)
            worker.at[NOTIFICATIONS.name, p] += 1
    assert calling.pending() == 0
    two = calling.issue(2)
    await calling.work()
    assert calling.receivers.got == {URL: [hook_id(one), hook_id(two)]}


@pytest.mark.parametrize("restart", [False, True])
async def test_so_it_is_when_the_worker_dies_between_the_two(calling: Calling, restart: bool) -> None:
    calling.register()
    one = calling.issue(1)
    p = where("bank-001")
    for number, worker in enumerate(calling.world.workers["webhook"]):
        if p in worker.owned:
            await worker.agent.step({(NOTIFICATIONS.name, p): calling.world.log.all(NOTIFICATIONS, p)})
            await calling.world.restart("webhook", number)
            if restart:
                await calling.world.restart("webhook", number)
    await calling.work()
    assert calling.receivers.firsts(URL) == [hook_id(one)]


async def test_a_failed_call_is_tried_again_later_and_those_behind_it_wait(calling: Calling) -> None:
    calling.register()
    calling.receivers.says[URL] = 503
    found = [calling.issue(n) for n in range(3)]
    await calling.work()
    assert [name for _, name, _ in calling.receivers.calls] == [hook_id(found[0])]
    await calling.pass_s(3, 1)
    assert {name for _, name, _ in calling.receivers.calls} == {hook_id(found[0])}
    assert len(calling.receivers.calls) == 2
    calling.receivers.says[URL] = 200
    await calling.pass_s(8, 1)
    assert calling.receivers.got[URL] == [hook_id(one) for one in found]
    assert [one.attempt for one in calling.marks()][1:] == [1, 1]
    assert calling.marks()[0].attempt >= 3


async def test_after_a_day_it_is_parked_with_what_waited_as_long_and_not_what_came_later(calling: Calling) -> None:
    calling.register()
    calling.receivers.says[URL] = 500
    old = [calling.issue(n) for n in range(5)]
    await calling.pass_s(DAY_S / 2, 3600)
    new = calling.issue(9)
    await calling.pass_s(DAY_S / 2 + 3600, 1800)
    assert states(calling) == [("parked", one.notification_id) for one in old]
    assert "gave up after" in (calling.marks()[0].detail or "")
    assert calling.pending() == 1
    calling.receivers.says[URL] = 200
    await calling.pass_s(3600, 600)
    assert calling.receivers.got[URL] == [hook_id(new)]


@pytest.mark.parametrize(("status", "why"), [(302, "redirects, which is not followed"), (401, "refused the message")])
async def test_what_cannot_be_helped_by_trying_again_is_parked_at_once(calling: Calling, status: int, why: str) -> None:
    calling.register()
    calling.receivers.says[URL] = status
    one = calling.issue(1)
    await calling.work()
    assert states(calling) == [("parked", one.notification_id)]
    assert why in (calling.marks()[0].detail or "")
    assert len(calling.receivers.calls) == 1


async def test_an_endpoint_that_answers_410_is_switched_off_in_the_log_and_on_again_gets_the_rest(calling: Calling) -> None:
    made = calling.register()
    calling.receivers.says[URL] = 410
    first, second = calling.issue(1), calling.issue(2)
    await calling.work()
    assert states(calling) == [("parked", first.notification_id)]
    told = decode(ENDPOINTS, calling.world.log.all(ENDPOINTS)[-1].value).data
    assert told.revision == 2 and told.endpoints[0].disabled_reason == "the endpoint is gone (410)"
    await calling.pass_s(7200, 600)
    assert len(calling.receivers.calls) == 1
    calling.receivers.says[URL] = 200
    calling.revisions["bank-001"] = 2
    calling.set(enable(made, calling.now))
    await calling.work()
    assert calling.receivers.got[URL] == [hook_id(second)]


async def test_a_paused_endpoint_is_not_called_and_then_gets_what_waited_in_order(calling: Calling) -> None:
    made = calling.register()
    calling.set(disable(made, "paused", calling.now))
    found = [calling.issue(n) for n in range(4)]
    await calling.pass_s(2 * DAY_S, DAY_S / 4)
    assert calling.receivers.calls == [] and calling.marks() == []
    calling.set(enable(made, calling.now))
    await calling.work()
    assert calling.receivers.got[URL] == [hook_id(one) for one in found]


async def test_what_no_inbox_shows_any_more_is_parked_also_at_a_paused_endpoint(calling: Calling) -> None:
    calling.set(disable(calling.register(), "paused", calling.now))
    one = calling.issue(1)
    await calling.pass_s(31 * DAY_S, DAY_S)
    assert states(calling) == [("parked", one.notification_id)]
    assert calling.pending() == 0


async def test_a_removed_endpoint_gets_nothing_more(calling: Calling) -> None:
    made = calling.register()
    calling.receivers.says[URL] = 503
    calling.issue(1)
    await calling.work()
    calling.remove(made)
    await calling.pass_s(60, 5)
    assert len(calling.receivers.calls) == 1 and calling.marks() == []


async def test_an_acknowledgement_by_whatever_way_ends_the_attempts(calling: Calling) -> None:
    calling.register()
    calling.receivers.says[URL] = 503
    first, second = calling.issue(1), calling.issue(2)
    await calling.work()
    calling.say("acknowledged", first)
    calling.receivers.says[URL] = 200
    await calling.work()
    assert calling.receivers.got[URL] == [hook_id(second)]


async def test_what_was_read_from_the_inbox_is_called_out_all_the_same(calling: Calling) -> None:
    calling.register()
    calling.receivers.says[URL] = 503
    one = calling.issue(1)
    await calling.work()
    calling.say("received", one)
    calling.receivers.says[URL] = 200
    await calling.pass_s(5, 1)
    assert calling.receivers.got[URL] == [hook_id(one)]


@pytest.mark.parametrize("restart", [False, True])
async def test_a_parked_notice_that_is_asked_for_once_more_is_sent_with_the_same_id(calling: Calling, restart: bool) -> None:
    calling.register("hook-1")
    calling.register("hook-2")
    calling.receivers.says[URL] = calling.receivers.says[OTHER] = 403
    one, two = calling.issue(1), calling.issue(2)
    await calling.work()
    assert len(calling.marks()) == 4
    calling.receivers.says.clear()
    calling.world.clock.forward(5)
    calling.replay(one, endpoint_id="hook-1")
    if restart:
        for number in (0, 1):
            await calling.world.restart("webhook", number)
    await calling.work()
    assert calling.receivers.got == {URL: [hook_id(one)]}
    calling.replay(two)
    await calling.work()
    assert calling.receivers.got == {URL: [hook_id(one), hook_id(two)], OTHER: [hook_id(two)]}


async def test_what_is_asked_for_once_more_while_it_waits_is_tried_at_once(calling: Calling) -> None:
    calling.register()
    calling.receivers.says[URL] = Answer(CallOutcome.RETRY_LATER, "busy", 429, 3000.0, "203.0.113.1")
    one = calling.issue(1)
    await calling.work()
    calling.receivers.says.clear()
    await calling.pass_s(60, 10)
    assert calling.receivers.got == {}
    calling.replay(one)
    await calling.work()
    assert calling.receivers.got[URL] == [hook_id(one)]


async def test_a_replay_of_what_the_endpoint_does_not_want_calls_nobody(calling: Calling) -> None:
    calling.register(kinds=("order",))
    one = calling.issue(1)
    await calling.work()
    calling.replay(one)
    await calling.work()
    assert calling.receivers.calls == [] and calling.pending() == 0


async def test_an_echo_of_a_notice_is_not_called_out_again(calling: Calling) -> None:
    calling.register()
    one = calling.issue(1)
    await calling.work()
    calling.issue(1)
    await calling.work()
    assert calling.receivers.got[URL] == [hook_id(one)]


async def test_while_a_secret_is_replaced_both_sign(calling: Calling) -> None:
    made = calling.register()
    after, secret = rotate(made, random_bytes=b"x" * 32, sealer=SEALER, hooks=Hooks(), now=calling.now)
    calling.set(after)
    calling.issue(1)
    await calling.work()  # verified with the old secret
    calling.receivers.secrets[URL] = secret
    calling.issue(2)
    await calling.work()
    assert len(calling.receivers.got[URL]) == 2


async def test_a_dead_endpoint_with_ten_thousand_waiting_delays_nobody(calling: Calling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "HELD", 50)
    monkeypatch.setattr(calls, "HELD", 50)
    calling.register("hook-1", "bank-001")
    calling.register("hook-2", "bank-002")
    calling.receivers.says[URL] = asyncio.Event()  # never answers
    for n in range(10_000):
        calling.issue(n)
    other = [calling.issue(20_000 + n, recipient="bank-002") for n in range(20)]
    for _ in range(150):
        await calling.poll(1000)
        await calling.rest(10)
    assert calling.receivers.got == {OTHER: [hook_id(one) for one in other]}
    assert len([one for one in calling.receivers.calls if one[0] == URL]) == 1
    held = [item.body for n in (0, 1) for found in calling.agent(n).calls.lanes.values() for lane in found
            for item in lane.items.values()]  # fmt: skip
    assert len(held) == 10_000 and sum(body is not None for body in held) == 50


async def test_what_is_not_held_is_read_from_the_log_when_it_is_its_turn(
    calling: Calling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "HELD", 3)
    monkeypatch.setattr(calls, "HELD", 3)
    calling.register()
    calling.receivers.says[URL] = 503
    found = [calling.issue(n) for n in range(25)]
    await calling.work()
    calling.receivers.says[URL] = 200
    await calling.pass_s(5, 1)
    assert calling.receivers.got[URL] == [hook_id(one) for one in found]


async def test_a_notice_that_retention_took_before_it_was_sent_is_parked(
    calling: Calling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "HELD", 1)
    calling.register()
    calling.receivers.says[URL] = 503
    first, second = calling.issue(1), calling.issue(2)
    await calling.work()
    calling.world.log.delete_before(NOTIFICATIONS, where("bank-001"), 2)
    calling.receivers.says[URL] = 200
    await calling.pass_s(5, 1)
    assert states(calling) == [("received", first.notification_id), ("parked", second.notification_id)]


async def test_many_dead_endpoints_leave_room_for_the_others(calling: Calling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "AT_ONCE", 6)
    monkeypatch.setattr(calls, "FAILING_AT_ONCE", 3)
    for n in range(12):
        calling.register(f"dead-{n}", f"bank-{n:03d}")
        calling.receivers.says[url_of(f"dead-{n}")] = 503
        calling.issue(n, recipient=f"bank-{n:03d}")
    await calling.work()
    for n in range(12):
        calling.receivers.says[url_of(f"dead-{n}")] = asyncio.Event()
    calling.world.clock.forward(5)
    for number in (0, 1):
        await calling.tick(number)
    await calling.rest()
    assert calling.receivers.under_way <= 6
    calling.register("alive", "pay-001")
    one = calling.issue(99, recipient="pay-001")
    await calling.poll()
    await calling.rest()
    assert calling.receivers.got[url_of("alive")] == [hook_id(one)]


async def test_an_endpoint_that_breaks_the_call_itself_is_tried_again_and_harms_nobody(calling: Calling) -> None:
    calling.register("hook-1", "bank-001")
    calling.register("hook-2", "bank-002")
    calling.receivers.says[URL] = RuntimeError("surprise")
    calling.issue(1)
    other = calling.issue(2, recipient="bank-002")
    await calling.work()
    assert calling.receivers.got == {OTHER: [hook_id(other)]}
    calling.receivers.says.clear()
    await calling.pass_s(5, 1)
    assert len(calling.receivers.got[URL]) == 1


async def test_unreadable_records_are_put_aside_once_and_stop_nobody(calling: Calling) -> None:
    calling.register()
    p, log = where("bank-001"), calling.world.log
    for topic in (NOTIFICATIONS, DELIVERIES, ENDPOINTS):
        log.put(topic, p, b"bank-001", b"no record")
    log.put(NOTIFICATIONS, p, b"bank-001", notice_record(calling.issue(5, recipient="bank-002"), 5)[1])
    one = calling.issue(1)
    await calling.work()
    for number in (0, 1):
        await calling.world.restart("webhook", number)
    await calling.work()
    assert calling.receivers.firsts(URL) == [hook_id(one)]
    letters = [decode(DEADLETTER, record.value).data for record in log.all(DEADLETTER)]
    assert sorted(letter.topic for letter in letters if letter.stage == "webhook") == sorted(
        (NOTIFICATIONS.name, NOTIFICATIONS.name, DELIVERIES.name, ENDPOINTS.name)
    )


@pytest.mark.parametrize("name", [name for name in POINTS if name.startswith(("webhook.", "calls."))])
@pytest.mark.parametrize("n", [1, 2, 3])
async def test_a_death_at_a_crash_point_loses_nothing(name: str, n: int) -> None:
    with crashing() as crasher:
        calling = await Calling().up()
        if name == "webhook.found" and n > 2:
            return
        crasher.arm(name, n)
        calling.register()
        calling.register("hook-2", "bank-002")
        found = [calling.issue(i, recipient=f"bank-00{1 + i % 2}") for i in range(6)]
        calling.receivers.says[OTHER] = 403
        for _ in range(3):
            await calling.work()
        for number in (0, 1):
            await calling.world.restart("webhook", number)
        await calling.work()
        assert crasher.hit[name] == 1
        assert calling.receivers.firsts(URL) == [hook_id(one) for one in found[::2]]
        parked = {one.notification_id for one in calling.marks() if one.state is DeliveryState.PARKED}
        assert parked == {one.notification_id for one in found[1::2]}
        assert calling.pending() == 0


@pytest.mark.parametrize("buckets", [1, 7, 16])
@pytest.mark.parametrize("how", ["flush", "roll_back"])
async def test_a_lost_redis_loses_nothing_and_sends_nothing_that_was_received_again(
    calling: Calling, buckets: int, how: str
) -> None:
    calling.register()
    copy = calling.world.redis["webhook"].copy()
    done = calling.issue(1)
    await calling.work()
    calling.receivers.says[URL] = 503
    waiting = [calling.issue(n) for n in (2, 3)]
    await calling.work()
    if how == "flush":
        calling.world.redis["webhook"].flush(range(buckets))
    else:
        calling.world.redis["webhook"].roll_back(copy, range(buckets))
    calling.receivers.says[URL] = 200
    for number in (0, 1):
        await calling.world.restart("webhook", number)
    await calling.work()
    assert calling.receivers.got[URL] == [hook_id(one) for one in (done, *waiting)]


async def test_a_restart_reads_the_log_from_the_oldest_that_waits_alone(calling: Calling) -> None:
    calling.register()
    for n in range(30):
        calling.issue(n)
    await calling.work()
    calling.receivers.says[URL] = 503
    calling.issue(40)
    await calling.work()
    marks = [bucket.marks for bucket in calling.world.redis["webhook"].buckets]
    p = where("bank-001")
    assert {(one[f"e{p}"], one[f"el{p}"], one[f"em{p}"]) for one in marks} == {("31", "30", "30")}


async def test_the_sender_of_before_hangs_up_when_its_partitions_are_another_s(calling: Calling) -> None:
    calling.register()
    calling.receivers.says[URL] = asyncio.Event()
    one = calling.issue(1)
    await calling.poll()
    await calling.rest()
    assert calling.receivers.under_way == 1
    calling.receivers.says.clear()
    owner = calling.world.owner["webhook"]
    await calling.world.rebalance("webhook", [1 - number for number in owner])
    assert calling.receivers.under_way == 0
    await calling.work()
    assert calling.receivers.got[URL] == [hook_id(one)]


async def test_a_notice_without_a_readable_origin_is_put_aside(calling: Calling) -> None:
    calling.register()
    raw = orjson.loads(notice_record(calling.issue(1), 1)[1])
    raw["origin"] = None
    calling.world.log.put(NOTIFICATIONS, where("bank-001"), b"bank-001", orjson.dumps(raw))
    await calling.work()
    assert len(calling.receivers.got[URL]) == 1
    assert instant_ms(calling.now) > 0


async def test_a_mark_that_is_not_in_the_log_yet_moves_no_place(calling: Calling) -> None:
    calling.register()
    await calling.work()
    one, p = calling.issue(1), where("bank-001")
    number = next(n for n, worker in enumerate(calling.world.workers["webhook"]) if p in worker.owned)
    agent, worker = calling.agent(number), calling.world.workers["webhook"][number]
    await calling.world.poll("webhook", number)
    worker.gate.plan = ("freeze", 1)  # the append of the mark
    await calling.rest()
    assert worker.gate.frozen.is_set() and calling.receivers.got[URL] == [hook_id(one)]
    await agent._settle_places(
        {(NOTIFICATIONS.name, p): calling.world.log.all(NOTIFICATIONS, p)}
    )  # as another poll does meanwhile
    await calling.world._bury()
    await calling.world.restart("webhook", number)
    await calling.work()
    assert calling.receivers.got[URL] == [hook_id(one)] * 2
    assert [mark.state for mark in calling.marks()] == [DeliveryState.RECEIVED]


@pytest.mark.parametrize("gone", ["acknowledged", "removed"])
async def test_a_notice_that_is_done_with_while_it_is_read_again_is_not_parked(
    calling: Calling, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    monkeypatch.setattr(lanes, "HELD", 1)
    monkeypatch.setattr(calls, "HELD", 1)
    made = calling.register()
    calling.receivers.says[URL] = 503
    one, two = calling.issue(1), calling.issue(2)
    await calling.work()
    ends, wanted = calling.world.log.ends, [two]

    async def meanwhile(topic: Topic) -> dict[int, int]:
        reads = any(frame.name == "_read_bodies" for frame in traceback.extract_stack())
        if topic is NOTIFICATIONS and wanted and reads:
            calling.say("acknowledged", wanted.pop()) if gone == "acknowledged" else calling.remove(made)
            wanted.clear()
            await calling.poll()
        return await ends(topic)

    monkeypatch.setattr(calling.world.log, "ends", meanwhile)
    calling.say("acknowledged", one)
    await calling.pass_s(60, 5)
    assert wanted == [], "its body was to be read"
    assert calling.world.ended == [] and calling.pending() == 0
    assert {state for state, _ in states(calling)} <= {"acknowledged"}
