"""The index from an indicator to its cases: how a member is written, what is indexed, and that order does not matter."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from schemas.signals.assessed import Route
from schemas.topics import ASSESSED, CASE_COMMANDS, SUBMITTED
from stream_processors.domain.signals.routing import case_id
from stream_processors.state.case_refs import brief, in_full, indexed, member_of, queue_mark
from stream_processors.state.keys import PROJECT
from stream_processors.views.case_index import index_effects
from tests.support.builders import account, action_record, fact, fact_record, move, phone, submission, submitted
from tests.support.keys import key_at
from tests.support.memory_store import MemoryRedis, MemoryStore
from tests.support.world import World, content

QUEUE = "public-security-630202"


@given(st.text(), st.text(), st.booleans())
def test_a_member_gives_back_the_case_and_the_mark_of_its_queue(subject: str, queue: str, formed: bool) -> None:
    name = case_id(queue, subject) if formed else f"case {subject}"
    try:
        member = member_of(name, queue)
    except UnicodeEncodeError:
        return
    assert indexed(member) == (name, queue_mark(queue))
    assert len(member) == 16 or not formed


@given(st.text(max_size=40).filter(lambda text: not text.startswith("=")), st.booleans())
def test_a_ranked_case_is_told_by_its_own_bytes_and_read_again(subject: str, formed: bool) -> None:
    name = case_id(QUEUE, subject) if formed else subject
    try:
        member = brief(name)
    except UnicodeEncodeError:
        return
    assert in_full(member) == name
    assert len(member) == 12 or not formed


def test_every_indicator_of_a_routed_signal_leads_to_each_of_its_cases() -> None:
    signal = submitted(indicators=[account(1), phone(2), phone(3, "victim")])
    unrouted = fact(signal)
    assert index_effects(unrouted) == []
    routes = tuple(Route(queue=queue, case_id=case_id(queue, "x")) for queue in (QUEUE, "financial-regulator-630200"))
    effects = index_effects(unrouted.model_copy(update={"routes": routes, "cases_until_ms": 7}))
    assert {effect.args[1] for effect in effects} == {f"t:{subject.token}" for subject in signal.subjects}
    assert {effect.args[3:] for effect in effects} == {(member_of(one.case_id, one.queue), 7) for one in routes}
    assert len(effects) == 6


async def test_the_longest_time_of_an_entry_counts_whatever_the_order() -> None:
    states = []
    for order in permutations([("a", 5_000_000_000_000), ("a", 6_000_000_000_000), ("b", 5_500_000_000_000)]):
        store = MemoryStore(server := MemoryRedis(), PROJECT)
        await store.set_stamp("s")
        from stream_processors.state.effects import link
        from stream_processors.state.store import Write

        for name, until in order:
            await store.call("fold", "s", {0: Write({}, {}, link(key_at(0, "t:x"), name.encode(), until).args)})
        states.append((server.buckets[0].values, server.buckets[0].ends))
    assert all(state == states[0] for state in states)
    assert states[0] == ({"t:x": {b"a": 6_000_000_000_000, b"b": 5_500_000_000_000}}, {"t:x": 6_000_000_000_000})


async def test_a_case_is_found_by_its_indicators_disposed_of_or_not() -> None:
    world = await World(workers=1).up()
    for institution in ("bank-001", "bank-002"):
        world.submit(*submission(submitted(institution, indicators=[account(1), phone(1)])), SUBMITTED)
    await world.drain()

    def values(concern: str) -> dict:
        return {
            name: value
            for bucket in world.redis["project"].buckets
            for name, value in bucket.values.items()
            if name.startswith(concern)
        }

    tokens = {subject.token for subject in submitted(indicators=[account(1), phone(1)]).subjects}
    assert set(values("t:")) == {f"t:{token}" for token in tokens}
    ((found, _),) = {indexed(member) for entries in values("t:").values() for member in entries}
    before = values("t:")
    for kind in ("claim", "dispose"):
        world.submit(*action_record(move(kind, case_id=found)), CASE_COMMANDS)
    await world.drain()
    assert values("t:") == before
    assert content(world.redis["project"]) == content(await world.afresh("project"))


async def test_a_fact_twice_in_the_log_is_one_entry() -> None:
    world = await World(workers=1).up()
    route = Route(queue=QUEUE, case_id=case_id(QUEUE, "x"))
    one = fact(submitted()).model_copy(update={"routes": (route,)})
    for offset in (0, 1):
        world.log.put(ASSESSED, 2, b"k", fact_record(one, ASSESSED, 2, offset))
    await world.poll("project", 0)
    entries = [v for b in world.redis["project"].buckets for k, v in b.values.items() if k.startswith("t:")]
    assert [list(one) for one in entries] == [[member_of(route.case_id, QUEUE)]]
