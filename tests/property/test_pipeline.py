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

from schemas.cases import ActionKind, ActionOutcome
from schemas.codec import decode
from schemas.envelope import Origin
from schemas.facts import Outcome
from schemas.signals import SubmittedSignal
from schemas.topics import ACTIONS, ASSESSED, CHANGED, DEADLETTER, SUBMITTED
from schemas.values import DAY_MS
from stream_processors.agents import assess
from stream_processors.crash import POINTS
from stream_processors.pipeline import STAGES
from stream_processors.state.keys import BUCKETS
from tests.support.builders import SEALER, account, action_record, after, move, phone, submission, submitted
from tests.support.crashing import Crasher, crashing
from tests.support.world import World, content, sources

FACTOR = int(os.environ.get("LIANDONG_HYPOTHESIS_FACTOR", "1"))
STAGE = st.sampled_from(sorted(STAGES))
IN_PROCESS = sorted(name for name in POINTS if not name.startswith(("gateway.", "intake.")))

SIGNAL = st.fixed_dictionaries(
    {
        "institution": st.sampled_from(["bank-001", "bank-002", "telecom-1"]),
        "reference": st.sampled_from(["a", "b", "c", "d"]),
        "kind": st.sampled_from(["telecom_fraud", "telecom_fraud", "illegal_finance"]),
        "primary": st.integers(0, 4),
        "shared": st.sampled_from([None, 1, 2]),
        "amount": st.sampled_from([None, 1_200_000, 60_000_000]),
        "minutes": st.sampled_from([-2000, -30, -5, 0, 5]),
        "narrative": st.sampled_from([None, "受害人称对方自称公安"]),
        "event": st.sampled_from([None, None, None, "transfer", "transfer", "call"]),
        "payer": st.sampled_from([(1, "suspect"), (2, "suspect"), (1, "victim")]),
        "echo": st.sampled_from([None, None, None, None, "bank-009/x"]),
    }
)
POISON = st.sampled_from(
    [b"", b"\xff\x00", b"{}", b'{"type": []}', b'{"type": "cn.liandong.signals.submitted.v1"}', b"[" * 3000]
)
MOVES = sorted({kind.value for kind in ActionKind} - {"join"})
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
    st.tuples(st.just("officer"), OFFICER),
    st.tuples(st.just("officer"), OFFICER),
    st.tuples(st.just("retry"), st.integers(0, 5)),
    st.tuples(st.just("poison"), st.sampled_from([SUBMITTED, ACTIONS]), st.integers(0, 7), POISON),
    st.tuples(st.just("die"), st.sampled_from(IN_PROCESS), st.integers(1, 2)),
    st.tuples(st.just("restart"), STAGE, st.integers(0, 1)),
    st.tuples(st.just("rebalance"), STAGE, st.integers(0, 255)),
    st.tuples(st.just("thaw"), STAGE),
    st.tuples(st.just("copy"), STAGE),
    st.tuples(st.just("lose"), STAGE, st.sampled_from(["roll_back", "flush"]), st.sampled_from([1, 3, BUCKETS])),
    st.tuples(st.just("forward"), st.sampled_from([1, 61, 1000])),
)
HISTORY = st.lists(STEP, min_size=4, max_size=45)


def _event(one: dict[str, Any]) -> dict[str, Any] | None:
    """A transfer to the primary account by one of the others, or a call by the shared phone's owner to one of two victims."""
    step, role = one["payer"]
    if one["event"] == "transfer":
        payer = account((one["primary"] + step) % 5, role)
        return {"type": "transfer", "payer": payer, "payee": account(one["primary"]), "amount": {"minor": one["amount"] or 5_000}}
    if one["event"] == "call":
        callee = account(9, "victim") if one["shared"] is None else phone(7, "victim")
        return {"type": "call", "caller": phone(8), "callee": callee | {"kind": "phone", "value": "13800000007"}}
    return None


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
        indicators = [account(one["primary"])]
        if one["shared"] is not None:
            indicators.append(phone(one["shared"]))
        amount = one["amount"] and {"minor": one["amount"], "currency": "CNY"}
        signal = submitted(
            one["institution"],
            one["reference"],
            kind=one["kind"],
            indicators=indicators,
            amount=amount,
            narrative=one["narrative"],
            occurred_at=after(minutes=one["minutes"]),
            event=_event(one),
            derived_from=one["echo"],
        )
        self.ledger[self.world.submit(*submission(signal), SUBMITTED)] = signal

    async def signals(self, some: list[dict[str, Any]]) -> None:
        for one in some:
            await self.signal(one)

    async def poison(self, topic: Any, partition: int, value: bytes) -> None:
        offset = self.world.log.put(topic, partition, b"key", value)
        if topic is SUBMITTED:
            self.ledger[partition, offset] = None

    async def officer(self, one: dict[str, Any]) -> None:
        cases = sorted({record.key for record in self.world.log.all(ACTIONS) if record.key and record.key != b"key"})
        case_id = cases[one["case"] % len(cases)].decode() if cases else "case-unknown"
        revision = None
        if one["behind"] is not None:
            known = [
                decode(CHANGED, record.value).data
                for record in self.world.log.all(CHANGED)
                if record.key == case_id.encode()
            ]
            latest = max([change.revision or 0 for change in known], default=0)
            revision = latest - one["behind"]
        name = f"act-{len(self.actions)}"
        action = move(one["kind"], one["officer"], case_id, action_id=name, revision=revision, lease_s=one["lease_s"])
        self.actions.append(action_record(action))
        self.world.submit(*self.actions[-1], ACTIONS)

    async def retry(self, back: int) -> None:
        if self.actions:
            self.world.submit(*self.actions[-1 - back % len(self.actions)], ACTIONS)

    async def poll(self, stage: str, worker: int, limit: int, plan: Any, rewind: int) -> None:
        await self.world.poll(stage, worker, limit, plan=plan, rewind=rewind)

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
        redis, only = self.world.redis[stage], range(buckets)
        if how == "roll_back" and stage in self.copies:
            redis.roll_back(self.copies[stage], only)
        else:
            redis.flush(only)

    async def forward(self, seconds: int) -> None:
        self.world.clock.forward(seconds)


async def play(history: list[Any]) -> Player:
    with crashing() as crasher, patch.object(assess, "SPLIT_ABOVE", 4):
        player = Player(await World().up(), crasher)
        await player.play(history)
        crasher.disarm()
        await player.world.settle()
    for name in crasher.hit:
        event(f"died at {name}")
    for line in player.world.ended:
        event(line.partition(" LOST")[0][:40])
    return player


def counted(player: Player) -> dict[tuple[int, int], Any]:
    """The fact that counts of each source record: the first."""
    found = sources(player.world.log.all(ASSESSED), ASSESSED)
    return {source: envelopes[0].data for source, envelopes in found.items()}


@settings(max_examples=130 * FACTOR)
@given(HISTORY)
def test_nothing_is_lost_and_nothing_counts_twice(history: list[Any]) -> None:
    player = asyncio.run(play(history))
    facts = counted(player)
    every_source_record_has_a_fact(player, facts)
    a_reference_and_a_content_count_once(facts)
    each_join_is_applied_once(player, facts)
    cases_add_up(player, facts)
    revisions_go_up_by_one_and_refusals_change_nothing(player)
    dead_letters_hold_what_was_refused(player, facts)
    asyncio.run(the_state_is_the_fold_of_the_log(player.world))
    views_count_every_fact_once(player, facts)


def every_source_record_has_a_fact(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    assert set(facts) == set(player.ledger), "a record that was acknowledged has no fact, or a fact has no record"
    for source, signal in player.ledger.items():
        assert (facts[source].outcome is Outcome.REFUSED) == (signal is None)
        if signal is not None:
            assert facts[source].signal_id == signal.signal_id
            assert facts[source].body_id == signal.body_id


def a_reference_and_a_content_count_once(facts: dict[tuple[int, int], Any]) -> None:
    """One record holds a reference, whatever came under it; one signal holds a content."""
    holders: defaultdict[str, list[Any]] = defaultdict(list)
    contents: defaultdict[str, list[Any]] = defaultdict(list)
    for source in sorted(facts):
        fact = facts[source]
        if fact.signal_id is None:
            continue
        holders[fact.signal_id] += [fact] if fact.outcome in (Outcome.ASSESSED, Outcome.RESEND) else []
        if fact.outcome in (Outcome.ASSESSED, Outcome.RESEND):
            contents[fact.content_id].append(fact)
    for signal_id, found in holders.items():
        assert len(found) == 1, f"{signal_id} is held by {len(found)} records"
    for content_id, found in contents.items():
        kinds = [fact.outcome for fact in found]
        assert kinds == [Outcome.ASSESSED] + [Outcome.RESEND] * (len(found) - 1), f"content {content_id}: {kinds}"
        assert {fact.of for fact in found[1:]} <= {found[0].signal_id}


def each_join_is_applied_once(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    wanted = Counter((fact.signal_id, route.case_id) for fact in facts.values() for route in fact.routes)
    applied: Counter[tuple[str, str]] = Counter()
    for envelopes in sources(player.world.log.all(CHANGED), CHANGED).values():
        change = envelopes[0].data
        if change.kind is ActionKind.JOIN and change.outcome is not ActionOutcome.ECHO:
            assert change.outcome is ActionOutcome.APPLIED
            applied[change.action_id.removeprefix("join-")[:26], change.case_id] += 1
    assert applied == wanted
    assert not wanted or set(wanted.values()) == {1}


def cases_add_up(player: Player, facts: dict[tuple[int, int], Any]) -> None:
    """The last revision of each case says what the facts routed there, counted by hand."""
    last = {}
    for record in player.world.log.all(CHANGED):
        change = decode(CHANGED, record.value).data
        if change.case is not None and change.revision > (
            last[change.case_id].revision if change.case_id in last else 0
        ):
            last[change.case_id] = change.case
    routed: defaultdict[str, list[Any]] = defaultdict(list)
    for fact in facts.values():
        for route in fact.routes:
            routed[route.case_id].append(fact)
    assert set(last) == set(routed)
    for case_id, case in last.items():
        found = routed[case_id]
        assert case.signal_count == len(found)
        assert case.amount_minor == ({"CNY": total} if (total := sum(one.amount_minor or 0 for one in found)) else {})
        assert set(case.institutions) == {one.institution for one in found}
        assert case.score == max(one.score for one in found)
        assert len({one.signal_id for one in case.signals}) == len(case.signals) == min(len(found), 20)


def revisions_go_up_by_one_and_refusals_change_nothing(player: Player) -> None:
    """Also: at most one holder, and an officer's action is applied at most once."""
    cases: dict[str, Any] = {}
    applied: Counter[tuple[str, str]] = Counter()
    for records in [player.world.log.all(CHANGED, p) for p in range(CHANGED.partitions)]:
        seen: set[tuple[int, int]] = set()
        for record in records:
            envelope = decode(CHANGED, record.value)
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
            if change.kind is not ActionKind.JOIN:
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
    for (partition, offset), fact in facts.items():
        origin = str(Origin(SUBMITTED.name, partition, offset))
        if fact.outcome in (Outcome.REFUSED, Outcome.CONFLICT):
            raw = player.world.log.all(SUBMITTED, partition)[offset].value
            opened = SEALER.unseal(letters[origin][0].value_sealed, f"deadletter/{origin}")
            assert opened == (raw or b"").decode("utf-8", "backslashreplace")


async def the_state_is_the_fold_of_the_log(world: World) -> None:
    since = world.clock.ms - world.policy.keep.sightings_days * DAY_MS
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
    wanted = Counter(f"{fact.outcome.value}:{fact.institution or 'unknown'}" for fact in facts.values())
    assert {k: n for k, n in counters.items() if not k.startswith("action_")} == dict(wanted)
    held = [fact for fact in facts.values() if fact.outcome in (Outcome.ASSESSED, Outcome.RESEND)]
    assert receipts == {f"r:{fact.signal_id}" for fact in held}
    changes = sources(player.world.log.all(CHANGED), CHANGED)
    assert sum(n for k, n in counters.items() if k.startswith("action_")) == len(changes)
