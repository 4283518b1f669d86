"""The laws of the state as properties: whatever is submitted, however it is polled, and wherever processes die.

A history is drawn (signals, officers' moves, polls, deaths, freezes, losses of Redis) and played over the in-memory ports; then
all is read to the end and judged by what the log says and by rules that share no code with the folds.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from typing import Any
from unittest.mock import patch

from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.cases.case import OFFICERS_ONLY, ActionKind, ActionOutcome, CaseStatus
from schemas.codec import decode
from schemas.common import DAY_MS, instant_ms
from schemas.envelope import Origin
from schemas.signals.assessed import AssessOutcome
from schemas.signals.hubs import MEASURED
from schemas.signals.retraction import FOREVER, name_of
from schemas.signals.submission import SubmittedSignal
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, DEADLETTER, RETRACTIONS, SUBMITTED
from stream_processors.agents import assess
from stream_processors.domain.signals.evidence_sets import flows, victims
from stream_processors.domain.signals.leads import match_name
from stream_processors.domain.signals.trust import sighted
from stream_processors.runtime.crash_points import POINTS
from stream_processors.state.keys import BUCKETS
from stream_processors.topology import STAGES
from tests.support.builders import (
    CROWDED,
    HOTLINE,
    SEALER,
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
from tests.support.crashing import Crasher, crashing
from tests.support.memory_store import FAR
from tests.support.world import World, content, sources

FACTOR = int(os.environ.get("LIANDONG_HYPOTHESIS_FACTOR", "1"))
STAGE = st.sampled_from(sorted(STAGES))
IN_PROCESS = sorted(name for name in POINTS if not name.startswith(("gateway.", "intake.")))

SIGNAL = st.fixed_dictionaries(
    {
        "institution": st.sampled_from(["bank-001", "bank-002", "telecom-1"]),
        "reference": st.sampled_from(["a", "b", "c", "d"]),
        "version": st.sampled_from([1, 1, 1, 2, 3]),
        "kind": st.sampled_from(["telecom_fraud", "telecom_fraud", "illegal_finance", "organized_crime"]),
        "primary": st.integers(0, 4),
        "shared": st.sampled_from([None, 1, 2]),
        "amount": st.sampled_from([None, 1_200_000, 60_000_000]),
        "minutes": st.sampled_from([-2000, -30, -5, 0, 5]),
        "narrative": st.sampled_from([None, "受害人称对方自称公安"]),
        "event": st.sampled_from([None, None, None, "transfer", "transfer", "call"]),
        "payer": st.sampled_from([(1, "suspect"), (2, "suspect"), (1, "victim")]),
        "echo": st.sampled_from([None, None, None, None, "bank-009/x"]),
        "odd": st.sampled_from([None, None, None, None, None, "UNKNOWN", "12"]),
        "named": st.sampled_from([None, None, None, None, "hotline too", "hotline", "phone", "phone and site"]),
    }
)
NOBODY = {"kind": "account", "value": "UNKNOWN"}
FLOOR = st.sampled_from([FOREVER, FOREVER, 2])
RETRACTED = st.tuples(
    st.sampled_from(["bank-001", "bank-002", "telecom-1"]),
    st.sampled_from(["a", "b", "c", "d"]),
    FLOOR,
)
POISON = st.sampled_from([b"", b"\xff\x00", b"{}", b'{"type": []}', b'{"type": "cn.liandong.signals.submitted.v1"}', b"[" * 3000])
MOVES = sorted(kind.value for kind in OFFICERS_ONLY - {ActionKind.MERGE, ActionKind.SPLIT})
OFFICER = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([*MOVES, "claim", "claim"]),
        "case": st.integers(0, 5),
        "officer": st.sampled_from(["officer-a", "officer-b"]),
        "behind": st.sampled_from([None, 0, 0, 1]),
        "lease_s": st.sampled_from([None, 60]),
    }
)
PLAN = st.one_of(st.none(), st.none(), st.tuples(st.sampled_from(["cut", "after", "freeze"]), st.integers(1, 5)))
POLL = st.tuples(st.just("poll"), STAGE, st.integers(0, 1), st.integers(1, 6), PLAN, st.sampled_from([0, 0, 2]))
ROUND = st.tuples(st.just("round"), st.integers(1, 8))
STEP = st.one_of(
    st.tuples(st.just("signal"), SIGNAL),
    st.tuples(st.just("signal"), SIGNAL),
    st.tuples(st.just("signals"), st.lists(SIGNAL, min_size=2, max_size=8)),
    POLL,
    POLL,
    POLL,
    ROUND,
    st.tuples(st.just("crowd"), SIGNAL),
    st.tuples(st.just("retract"), RETRACTED),
    st.tuples(st.just("officer"), OFFICER),
    st.tuples(st.just("officer"), OFFICER),
    st.tuples(st.just("retry"), st.integers(0, 5)),
    st.tuples(st.just("poison"), st.sampled_from([SUBMITTED, RETRACTIONS, CASE_COMMANDS]), st.integers(0, 7), POISON),
    st.tuples(st.just("die"), st.sampled_from(IN_PROCESS), st.integers(1, 2)),
    st.tuples(st.just("restart"), STAGE, st.integers(0, 1)),
    st.tuples(st.just("rebalance"), STAGE, st.integers(0, 255)),
    st.tuples(st.just("thaw"), STAGE),
    st.tuples(st.just("copy"), STAGE),
    st.tuples(st.just("lose"), STAGE, st.sampled_from(["roll_back", "flush"]), st.sampled_from([1, 3, BUCKETS])),
    st.tuples(st.just("forward"), st.sampled_from([1, 61, 1000])),
)
HISTORY = st.lists(STEP, min_size=4, max_size=45)

FEW = st.fixed_dictionaries(
    {
        "institution": st.sampled_from(["bank-001", "bank-002"]),
        "reference": st.sampled_from(["a", "a", "b"]),
        "version": st.sampled_from([1, 1, 2, 3]),
        "kind": st.just("telecom_fraud"),
        "primary": st.sampled_from([1, 1, 2]),
        "shared": st.sampled_from([None, 1]),
        "amount": st.sampled_from([60_000_000, 60_000_000, None]),
        "minutes": st.just(0),
        "narrative": st.sampled_from([None, "更正"]),
        "event": st.sampled_from([None, None, "transfer", "call"]),
        "payer": st.sampled_from([(1, "suspect"), (1, "victim")]),
        "echo": st.sampled_from([None, None, None, "bank-009/x"]),
        "named": st.sampled_from([None, None, None, "hotline too", "phone", "phone and site"]),
    }
)
LIFE = st.one_of(
    st.tuples(st.just("crowd"), FEW),
    st.tuples(st.just("signal"), FEW),
    st.tuples(st.just("signals"), st.lists(FEW, min_size=2, max_size=4)),
    st.tuples(st.just("retract"), st.tuples(st.sampled_from(["bank-001", "bank-002"]), st.sampled_from(["a", "a", "b"]), FLOOR)),
    ROUND,
    st.tuples(st.just("poll"), st.just("assess"), st.integers(0, 1), st.integers(1, 3), PLAN, st.just(0)),
    st.tuples(st.just("hold"), st.just("assess"), st.integers(0, 1), st.integers(1, 3), st.integers(1, 6)),
    st.tuples(st.just("resume"), st.just("assess")),
    st.tuples(st.just("die"), st.sampled_from([one for one in IN_PROCESS if one[:6] in ("assess", "retrac")]), st.just(1)),
    st.tuples(st.just("rebalance"), st.just("assess"), st.integers(0, 255)),
    st.tuples(st.just("thaw"), st.just("assess")),
    st.tuples(st.just("lose"), st.just("assess"), st.just("flush"), st.sampled_from([3, BUCKETS])),
)
LIVES = st.lists(LIFE, min_size=6, max_size=40)
"""Few signals with few contents, taken back, corrected and sent again while assess is slow, dies and loses its state."""


def _event(one: dict[str, Any]) -> dict[str, Any] | None:
    """A transfer to the primary account by one of the others, or a call by the shared phone's owner to one of two victims."""
    step, role = one["payer"]
    if one["event"] == "transfer":
        payer = {**NOBODY, "role": role} if one.get("odd") == "UNKNOWN" else account((one["primary"] + step) % 5, role)
        return {"type": "transfer", "payer": payer, "payee": account(one["primary"]), "amount": {"minor": one["amount"] or 5_000}}
    if one["event"] == "call":
        callee = account(9, "victim") if one["shared"] is None else phone(7, "victim")
        return {"type": "call", "caller": phone(8), "callee": callee | {"kind": "phone", "value": "13800000007"}}
    return None


def _indicators(one: dict[str, Any]) -> list[dict[str, str]]:
    """An account with or without a phone that others name, too; some name a listed hotline beside it, some no account."""
    shared = phone(one["shared"] or 1)
    if one["named"] == "hotline":
        return [HOTLINE]
    if one["named"] in ("phone", "phone and site"):
        return [shared] + [{"kind": "domain", "value": f"pay{one['primary']}.example.com"}] * (one["named"] != "phone")
    found = [NOBODY if one.get("odd") == "UNKNOWN" else account(one["primary"])]
    found += [{"kind": "phone", "value": "12"}] * (one.get("odd") == "12") + [shared] * (one["shared"] is not None)
    return [*found, HOTLINE] if one["named"] else found


class Player:
    """Plays a history and keeps the ledger of what was acknowledged, outside of the system."""

    def __init__(self, world: World, crasher: Crasher) -> None:
        self.world, self.crasher = world, crasher
        self.ledger: dict[tuple[int, int], SubmittedSignal | None] = {}
        self.actions: list[tuple[bytes, bytes]] = []
        self.copies: dict[str, Any] = {}

    async def play(self, history: list[Any]) -> None:
        for what, *how in history:
            await getattr(self, what)(*how)

    async def signal(self, one: dict[str, Any]) -> None:
        alone = one["named"] not in (None, "hotline too")
        amount = one["amount"] and {"minor": one["amount"], "currency": "CNY"}
        signal = submitted(
            one["institution"],
            one["reference"],
            kind=one["kind"],
            indicators=_indicators(one),
            amount=amount,
            narrative=one["narrative"],
            version=one["version"],
            occurred_at=after(minutes=one["minutes"]),
            event=None if alone else _event(one),
            hubs=CROWDED.hubs,
            derived_from=one["echo"],
        )
        self.ledger[self.world.submit(*submission(signal), SUBMITTED)] = signal

    async def retract(self, one: tuple[str, str, int]) -> None:
        self.world.submit(*retraction_record(retraction(*one)), RETRACTIONS)

    async def signals(self, some: list[dict[str, Any]]) -> None:
        for one in some:
            await self.signal(one)

    async def crowd(self, one: dict[str, Any]) -> None:
        """Unrelated signals that name the same phone: it is a hub from the fifth on."""
        for n in range(6):
            like = {"primary": n, "reference": f"crowd-{n}", "version": 1, "event": None, "echo": None, "named": None}
            await self.signal({**one, **like, "shared": one["shared"] or 1})

    async def poison(self, topic: Any, partition: int, value: bytes) -> None:
        offset = self.world.log.put(topic, partition, b"key", value)
        if topic is SUBMITTED:
            self.ledger[partition, offset] = None

    async def officer(self, one: dict[str, Any]) -> None:
        cases = sorted({record.key for record in self.world.log.all(CASE_COMMANDS) if record.key and record.key != b"key"})
        case_id = cases[one["case"] % len(cases)].decode() if cases else "case-unknown"
        revision = None
        if one["behind"] is not None:
            known = [
                decode(CASE_CHANGES, record.value).data
                for record in self.world.log.all(CASE_CHANGES)
                if record.key == case_id.encode()
            ]
            latest = max([change.revision or 0 for change in known], default=0)
            revision = latest - one["behind"]
        name = f"act-{len(self.actions)}"
        action = move(one["kind"], one["officer"], case_id, action_id=name, revision=revision, lease_s=one["lease_s"])
        self.actions.append(action_record(action))
        self.world.submit(*self.actions[-1], CASE_COMMANDS)

    async def retry(self, back: int) -> None:
        if self.actions:
            self.world.submit(*self.actions[-1 - back % len(self.actions)], CASE_COMMANDS)

    async def poll(self, stage: str, worker: int, limit: int, plan: Any, rewind: int) -> None:
        await self.world.poll(stage, worker, limit, plan=plan, rewind=rewind)

    async def hold(self, stage: str, worker: int, limit: int, call: int) -> None:
        await self.world.hold(stage, worker, limit, call)

    async def resume(self, stage: str) -> None:
        await self.world.resume(stage)

    async def round(self, limit: int) -> None:
        for stage in STAGES:
            for worker in (0, 1):
                await self.world.poll(stage, worker, limit)

    async def die(self, name: str, n: int) -> None:
        self.crasher.arm(name, n)

    async def restart(self, stage: str, worker: int) -> None:
        await self.world.restart(stage, worker)

    async def rebalance(self, stage: str, owners: int) -> None:
        await self.world.rebalance(stage, [owners >> p & 1 for p in range(8)])

    async def thaw(self, stage: str) -> None:
        await self.world.thaw(stage)

    async def copy(self, stage: str) -> None:
        self.copies[stage] = self.world.redis[stage].copy()

    async def lose(self, stage: str, how: str, buckets: int) -> None:
        # A process that is frozen between its decision and its append while Redis is lost may still add a fact about a claim that
        # nobody knows of: the claim is in neither. It is killed here.
        await self.world.kill_frozen(stage)
        await self.world.resume(stage)
        redis, only = self.world.redis[stage], range(buckets)
        if how == "roll_back" and stage in self.copies:
            redis.roll_back(self.copies[stage], only)
        else:
            redis.flush(only)

    async def forward(self, seconds: int) -> None:
        self.world.clock.forward(seconds)


async def play(history: list[Any]) -> Player:
    with crashing() as crasher, patch.object(assess, "SPLIT_ABOVE", 4):
        player = Player(await World(policy=CROWDED).up(), crasher)
        await player.play(history)
        crasher.disarm()
        await player.world.settle()
    for name in crasher.hit:
        event(f"died at {name}")
    for line in player.world.ended:
        event(line.partition(" LOST")[0][:40])
    return player


def counted(player: Player) -> dict[tuple[int, int], Any]:
    """The fact that counts of each submitted record: the first."""
    found = sources(player.world.log.all(ASSESSED), ASSESSED)
    return {source: envelopes[0].data for source, envelopes in found.items()}


def retractions(player: Player) -> dict[tuple[int, int], Any]:
    """The fact that counts of each record of retractions."""
    found = sources(player.world.log.all(ASSESSED), ASSESSED, RETRACTIONS)
    return {source: envelopes[0].data for source, envelopes in found.items()}


def floors(player: Player, facts: dict[tuple[int, int], Any]) -> dict[str, int]:
    """Below which version each signal is dead: what senders took back, and the newest version that holds its reference."""
    found: defaultdict[str, int] = defaultdict(int)
    for record in player.world.log.all(RETRACTIONS):
        if record.key != b"key":
            one = decode(RETRACTIONS, record.value).data
            found[one.signal_id] = max(found[one.signal_id], one.below_version)
    for fact in facts.values():
        if fact.outcome in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT):
            found[fact.signal_id] = max(found[fact.signal_id], fact.version)
    return found


def live(player: Player, facts: dict[tuple[int, int], Any]) -> list[Any]:
    """The facts that count in the end."""
    dead = floors(player, facts)
    return [one for one in facts.values() if one.outcome is AssessOutcome.ASSESSED and one.version >= dead[one.signal_id]]


@settings(max_examples=130 * FACTOR)
@given(HISTORY)
def test_nothing_is_lost_and_nothing_counts_twice(history: list[Any]) -> None:
    judge(history)


@settings(max_examples=130 * FACTOR)
@given(LIVES)
def test_what_is_taken_back_is_gone_and_nothing_else_is(history: list[Any]) -> None:
    judge(history)


def judge(history: list[Any]) -> None:
    player = asyncio.run(play(history))
    facts = counted(player)
    every_source_record_has_a_fact(player, facts)
    a_reference_counts_once(facts)
    a_content_has_one_holder_at_a_time(player)
    what_is_dead_is_taken_back_once_and_nothing_else_is(player, facts)
    only_live_signals_are_sighted(player, facts)
    no_hub_leads_a_case(facts)
    each_join_is_applied_once(player, facts)
    cases_add_up(player, facts)
    revisions_go_up_by_one_and_refusals_change_nothing(player)
    dead_letters_hold_what_was_refused(player, facts)
    asyncio.run(the_state_is_the_fold_of_the_log(player.world))
    views_count_every_fact_once(player, facts)


def every_source_record_has_a_fact(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    assert set(facts) == set(player.ledger), "a record that was acknowledged has no fact, or a fact has no record"
    for source, signal in player.ledger.items():
        assert (facts[source].outcome is AssessOutcome.REFUSED) == (signal is None)
        if signal is not None:
            assert facts[source].signal_id == signal.signal_id
            assert facts[source].body_id == signal.body_id
    stand = {(record.partition, record.offset) for record in player.world.log.all(RETRACTIONS)}
    assert set(retractions(player)) == stand, "a retraction has no fact, or a fact has no retraction"


def a_reference_counts_once(facts: dict[tuple[int, int], Any]) -> None:
    """One record holds a version of a reference, whatever came under it."""
    holding = (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT, AssessOutcome.RETRACTED)
    holders = Counter((fact.signal_id, fact.version) for fact in facts.values() if fact.outcome in holding)
    known = {(fact.signal_id, fact.version) for fact in facts.values() if fact.signal_id is not None}
    assert set(holders.values()) <= {1}
    assert set(holders) == known


def a_content_has_one_holder_at_a_time(player: Player) -> None:
    """In the order of its partition: counted when nobody else held it, a re-send when another did."""
    for p in range(ASSESSED.partitions):
        seen: set[str] = set()
        holder: dict[str, str] = {}
        for record in player.world.log.all(ASSESSED, p):
            envelope = decode(ASSESSED, record.value)
            fact = envelope.data
            if envelope.origin in seen:
                continue
            seen.add(envelope.origin)
            held = holder.get(fact.content_id or "", fact.signal_id or "").partition("/")[0]
            if fact.outcome is AssessOutcome.DUPLICATE_CONTENT:
                assert held == fact.duplicate_of != fact.signal_id
            elif fact.outcome is AssessOutcome.ASSESSED:
                assert held == fact.signal_id, f"a content that {held} holds counts twice"
                holder[fact.content_id] = name_of(fact.signal_id, fact.version)
            for one in fact.retracted_contributions:
                if one.is_last_of_content and holder.get(one.content_id) == one.name:
                    del holder[one.content_id]


def what_is_dead_is_taken_back_once_and_nothing_else_is(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    counted_ones = Counter(
        (one.signal_id, one.version, one.content_id, tuple(route.queue for route in one.routes))
        for one in facts.values()
        if one.outcome is AssessOutcome.ASSESSED
    )
    undone = Counter(
        (one.signal_id, one.version, one.content_id, one.queues)
        for fact in retractions(player).values()
        for one in fact.retracted_contributions
    )
    lasting = Counter(
        (one.signal_id, one.version, one.content_id, tuple(route.queue for route in one.routes)) for one in live(player, facts)
    )
    assert undone == counted_ones - lasting
    dead = floors(player, facts)
    for fact in facts.values():
        assert fact.outcome is not AssessOutcome.RETRACTED or fact.version < dead[fact.signal_id]


def only_live_signals_are_sighted(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    wanted: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for fact in live(player, facts):
        if fact.derived_from is not None:
            continue
        for mark in victims(fact):
            wanted[f"v:{mark.token}"][mark.member] = mark.at_ms
        for flow in flows(fact):
            wanted[f"f:{flow.token}"][flow.member] = flow.at_ms
        primary = fact.subjects[0].token
        for subject in sighted(fact):
            seen, when = wanted[f"s:{match_name(subject.token, fact.kind)}"], instant_ms(fact.occurred_at)
            site = subject.derived and fact.subjects[0].kind == "domain"
            alone = site or subject.token == primary or subject.event_role in ("payer", "payee")
            beside = "" if alone else primary.partition(".")[2][:5]
            seen[f"s{fact.institution}|{fact.content_id}" + (f">{beside}" if beside else "")] = when
            seen[f"i{fact.institution}"] = min(-when, seen.get(f"i{fact.institution}", 0))
            if beside:
                seen[f"p{beside}"] = min(-FAR - when, seen.get(f"p{beside}", 0))
    found = {}
    for bucket in player.world.redis["assess"].buckets:
        for name, value in bucket.values.items():
            if name.startswith(("s:", "v:", "f:")) and not name.endswith("!"):
                gone = bucket.values.get(f"{name}!", ())
                found[name] = {member: score for member, score in value.items() if member not in gone}
    assert {name: value for name, value in found.items() if value} == dict(wanted)


def no_hub_leads_a_case(facts: dict[tuple[int, int], Any]) -> None:
    """Listed ones are known from the first record on, measured ones from their fact on; a case of hubs alone has one signal."""
    led: defaultdict[str, set[str]] = defaultdict(set)
    for fact in facts.values():
        suspects = [one for one in fact.subjects if one.role == "suspect"]
        if any(one.hub == MEASURED for one in suspects):
            event("a hub was measured")
        leads = next((one.token for one in suspects if one.hub is None), fact.signal_id)
        for route in fact.routes:
            led[route.case_id].add(leads)
    assert all(len(leads) == 1 for leads in led.values())


def each_join_is_applied_once(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    """And each retraction of a signal from its case."""
    joined_by = {(fact.signal_id, fact.version, route.queue): route.case_id for fact in facts.values() for route in fact.routes}
    wanted = Counter(
        (f"join-{name_of(fact.signal_id, fact.version)}-{route.queue}", route.case_id)
        for fact in facts.values()
        for route in fact.routes
    )
    wanted += Counter(
        (f"retract-{one.name}-{queue}", joined_by[one.signal_id, one.version, queue])
        for fact in retractions(player).values()
        for one in fact.retracted_contributions
        for queue in one.queues
    )
    applied: Counter[tuple[str, str]] = Counter()
    for envelopes in sources(player.world.log.all(CASE_CHANGES), CASE_CHANGES).values():
        change = envelopes[0].data
        if change.kind in (ActionKind.JOIN, ActionKind.RETRACT) and change.outcome is not ActionOutcome.REDELIVERY:
            assert change.outcome is ActionOutcome.APPLIED
            applied[change.action_id, change.case_id] += 1
    assert applied == wanted
    assert not wanted or set(wanted.values()) == {1}


def cases_add_up(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    """The last revision of each case says what the live facts routed there, counted by hand."""
    last = {}
    for record in player.world.log.all(CASE_CHANGES):
        change = decode(CASE_CHANGES, record.value).data
        if change.case is not None and change.revision > (last[change.case_id].revision if change.case_id in last else 0):
            last[change.case_id] = change.case
    routed: defaultdict[str, list[Any]] = defaultdict(list)
    for fact in live(player, facts):
        for route in fact.routes:
            routed[route.case_id].append(fact)
    assert set(last) == {route.case_id for fact in facts.values() for route in fact.routes}
    for name, case in last.items():
        found = routed[name]
        assert case.signal_count == len(found)
        assert found or case.status in (CaseStatus.RETRACTED, CaseStatus.DISPOSED)
        assert not found or case.status is not CaseStatus.RETRACTED
        assert case.amount_minor == ({"CNY": total} if (total := sum(one.amount_minor or 0 for one in found)) else {})
        assert set(case.institutions) == {one.institution for one in found}
        assert case.score == max((one.score for one in found), default=0)
        assert {(one.signal_id, one.version) for one in case.signals} <= {(one.signal_id, one.version) for one in found}
        assert len({one.signal_id for one in case.signals}) == len(case.signals) == min(len(found), 20)


def revisions_go_up_by_one_and_refusals_change_nothing(player: Player) -> None:
    """Also: at most one holder, and an officer's action is applied at most once."""
    cases: dict[str, Any] = {}
    applied: Counter[tuple[str, str]] = Counter()
    for records in [player.world.log.all(CASE_CHANGES, p) for p in range(CASE_CHANGES.partitions)]:
        seen: set[tuple[int, int]] = set()
        for record in records:
            envelope = decode(CASE_CHANGES, record.value)
            origin = Origin.parse(envelope.origin)
            if (origin.partition, origin.offset) in seen:
                continue
            seen.add((origin.partition, origin.offset))
            change = envelope.data
            before = cases.get(change.case_id)
            if change.outcome is not ActionOutcome.APPLIED:
                assert change.case is None
                continue
            assert change.case.revision == change.revision == (before.revision if before else 0) + 1
            if change.kind not in (ActionKind.JOIN, ActionKind.RETRACT):
                applied[change.case_id, change.action_id] += 1
                taken_over = before.holder is not None and f"officer:{before.holder}" != envelope.actor
                assert not taken_over or before.lease_until <= change.at, "a held case was moved by somebody else"
            assert (change.case.holder is not None) == (change.case.status.value == "claimed")
            cases[change.case_id] = change.case
    assert set(applied.values()) <= {1}


def dead_letters_hold_what_was_refused(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    letters: defaultdict[str, list[Any]] = defaultdict(list)
    for record in player.world.log.all(DEADLETTER):
        envelope = decode(DEADLETTER, record.value)
        letters[envelope.origin].append(envelope.data)
    every = [(SUBMITTED, at, fact) for at, fact in facts.items()]
    every += [(RETRACTIONS, at, fact) for at, fact in retractions(player).items()]
    for topic, (partition, offset), fact in every:
        origin = str(Origin(topic.name, partition, offset))
        if fact.outcome in (AssessOutcome.REFUSED, AssessOutcome.CONFLICT):
            raw = player.world.log.all(topic, partition)[offset].value
            opened = SEALER.unseal(letters[origin][0].value_sealed, f"deadletter/{origin}")
            assert opened == (raw or b"").decode("utf-8", "backslashreplace")


async def the_state_is_the_fold_of_the_log(world: World) -> None:
    since = world.clock.ms - world.policy.retention.sightings_days * DAY_MS
    for stage in STAGES:
        live, afresh = content(world.redis[stage], since), content(await world.afresh(stage), since)
        assert live == afresh, f"the {stage} state is not what the log says"
        marks = [{k: v for k, v in bucket.marks.items() if k[0] != "n"} for bucket in world.redis[stage].buckets]
        assert all(found == marks[0] for found in marks), f"the buckets of {stage} disagree"


def views_count_every_fact_once(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    counters: Counter[str] = Counter()
    receipts = set()
    for bucket in player.world.redis["project"].buckets:
        counters.update(bucket.values.get("n", {}))
        receipts |= {name for name in bucket.values if name.startswith("r:")}
    every = [*facts.values(), *retractions(player).values()]
    wanted = Counter(f"{fact.outcome.value}:{fact.institution or 'unknown'}" for fact in every)
    assert {k: n for k, n in counters.items() if not k.startswith("action_")} == dict(wanted)
    held = [
        fact
        for fact in facts.values()
        if fact.outcome in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT, AssessOutcome.RETRACTED)
    ]
    assert receipts == {f"r:{name_of(fact.signal_id, fact.version)}" for fact in held}
    changes = sources(player.world.log.all(CASE_CHANGES), CASE_CHANGES)
    assert sum(n for k, n in counters.items() if k.startswith("action_")) == len(changes)
