"""Cases that are merged and split while signals join and are taken back, in any order of arrival: every live signal counts once.

The model: a case's own actions come in order, and so do those that one case sends another; between them anything goes.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.cases.case import Action, ActionKind, Case, CaseStatus
from stream_processors.domain.cases import counters as tally
from stream_processors.domain.cases.step import CaseEffects
from stream_processors.domain.cases.structure import absorb, forward, merge, split
from tests.support.builders import POLICY, after, join, joined, move, taken_back

HOMES = ("case-1", "case-2", "case-3")
QUEUE = "public-security-630202"
SMALL = POLICY.model_copy(update={"case_signals_kept": 3})
STEP = st.tuples(
    st.sampled_from(
        ["join", "join", "join", "join", "correct", "retract", "merge", "merge", "split", "split", "deliver", "deliver"]
    ),
    st.integers(0, 40),
    st.integers(0, 40),
)

STEPS = st.lists(STEP, min_size=25, max_size=60)


class World:
    """Cases, the channels between them, and the signals that are alive: name -> signal."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.channels: dict[tuple[str, str], deque[Action]] = defaultdict(deque)
        self.live: dict[str, tuple[str, Any]] = {}
        self.sent: list[Action] = []
        self.hops = self.made = 0

    def act(self, case_id: str, action: Action) -> CaseEffects | Any:
        """What `track` does: sends on, or decides and puts the case."""
        case = self.cases.get(case_id)
        done = forward(action, case) if case else None
        if done is None:
            done = self._decided(action, case)
        if not isinstance(done, CaseEffects):
            return done
        if case is None:
            self.cases[case_id] = Case.trusted(**done.changes, revision=1, changed_at=after())
        else:
            self.cases[case_id] = case.model_copy(update={**done.changes, "revision": case.revision + 1})
        self.sent += done.follows
        for one in done.follows:
            self.channels[case_id, one.case_id].append(one)
        return done

    def _decided(self, action: Action, case: Case | None) -> Any:
        if action.kind is ActionKind.JOIN:
            return _joined(action, case)
        if action.kind is ActionKind.RETRACT:
            return _left(action, case)
        moves = {ActionKind.MERGE: merge, ActionKind.SPLIT: split, ActionKind.ABSORB: absorb}
        return moves[action.kind](action, case, SMALL, after())

    def deliver(self, number: int) -> None:
        waiting = sorted(key for key, channel in self.channels.items() if channel)
        if waiting:
            key = waiting[number % len(waiting)]
            self.hops += 1
            self.act(key[1], self.channels[key].popleft())

    def drain(self) -> None:
        while any(self.channels.values()):
            assert self.hops < 2_000, "actions go round for ever"
            self.deliver(self.hops * 7)

    def step(self, what: str, one: int, other: int) -> None:
        self.made += 1
        if what == "join":
            self._join(HOMES[one % 3], f"sig-{self.made}", 1)
        elif what == "deliver":
            self.deliver(one)
        elif what in ("correct", "retract") and self.live:
            name = sorted(self.live)[one % len(self.live)]
            home, signal = self.live.pop(name)
            if what == "correct" and signal.version < 4:
                self._join(home, signal.signal_id, signal.version + 1)
            self.act(home, taken_back(signal, home))
        elif what in ("merge", "split"):
            self._move(what, one, other)

    def _join(self, home: str, signal_id: str, version: int) -> None:
        action = join(
            home, f"join-{self.made}", signal_id=signal_id, version=version, institution=f"bank-{self.made}", amount_minor=7,
            score=self.made % 100, accepted_at=after(seconds=self.made),
        )  # fmt: skip
        assert action.signal is not None
        self.live[f"{signal_id}/{version}"] = (home, action.signal)
        self.act(home, action)

    def _move(self, what: str, one: int, other: int) -> None:
        open_ones = sorted(name for name, case in self.cases.items() if case.status is not CaseStatus.MERGED)
        if not open_ones:
            return
        case = self.cases[open_ones[one % len(open_ones)]]
        if what == "merge":
            below = [name for name in sorted({*self.cases, *HOMES}) if name <= case.case_id or other % 8 == 0]
            into = below[other % len(below)]
            action = move("merge", case_id=case.case_id, into_case_id=into, action_id=f"m-{self.made}", queue=QUEUE)
        else:
            names = [signal.signal_id for signal in case.signals]
            chosen = tuple(names[: 1 + other % 2]) or ("none",)
            action = move("split", case_id=case.case_id, signals=chosen, action_id=f"s-{self.made}", queue=QUEUE)
        self.act(case.case_id, action)


def _joined(action: Action, case: Case | None) -> CaseEffects:
    signal = action.signal
    assert signal is not None
    if case is None:
        new = {
            "primary_subject": signal.subjects[0],
            "primary_signal_id": signal.signal_id,
            "opened_at": after(),
            "severity": "low",
        }
        new |= {"case_id": action.case_id, "queue": QUEUE, "status": CaseStatus.OPEN, "kinds": (), "institutions": ()}
        new |= {"score": 0, "signals": (signal,), "signal_count": 1, "amount_minor": tally.money({}, signal)}
        return CaseEffects({**new, "tally": tally.counted(tally.EMPTY, signal)})
    found = {"signals": (signal, *case.signals)[:3], "signal_count": case.signal_count + 1}
    found |= {"amount_minor": tally.money(case.amount_minor, signal), "tally": tally.counted(case.tally, signal)}
    return CaseEffects(found)


def _left(action: Action, case: Case | None) -> CaseEffects:
    gone = action.retracted_contribution
    assert gone is not None
    assert case is not None, "a retraction came to a case that is not there"
    assert gone.institution in case.tally.institutions, "a retraction came where its signal does not count"
    left = tuple(one for one in case.signals if (one.signal_id, one.version) != (gone.signal_id, gone.version))
    money, counts = tally.without(case.amount_minor, gone), tally.uncounted(case.tally, gone)
    return CaseEffects({"signals": left, "signal_count": case.signal_count - 1, "amount_minor": money, "tally": counts})


def _total(cases: dict[str, Case]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for case in cases.values():
        counts.update(case.tally.institutions)
        listed = Counter(one.institution for one in case.signals)
        assert listed <= Counter(case.tally.institutions)
        assert case.signal_count == sum(case.tally.scores.values())
        assert case.amount_minor.get("CNY", 0) == 7 * case.signal_count
        assert case.status is not CaseStatus.MERGED or not case.signal_count
    return counts


@settings(max_examples=400)
@given(STEPS)
def test_every_live_signal_counts_once_whatever_overtakes_what(steps: list[Any]) -> None:
    world = World()
    for step in steps:
        world.step(*step)
    world.drain()
    assert _total(world.cases) == Counter(signal.institution for _, signal in world.live.values())


@settings(max_examples=200)
@given(STEPS)
def test_a_chain_of_merges_only_goes_down(steps: list[Any]) -> None:
    world = World()
    for step in steps:
        world.step(*step)
    world.drain()
    for name, case in world.cases.items():
        assert case.merged_into is None or case.merged_into < name


@settings(max_examples=200)
@given(STEPS)
def test_what_is_handed_over_twice_counts_once(steps: list[Any]) -> None:
    """The stage that hands over may do it again after a crash."""
    world = World()
    for step in steps:
        world.step(*step)
    world.drain()
    handed = [one for one in world.sent if one.kind is ActionKind.ABSORB]
    whole = _total(world.cases)
    for one in handed:
        world.act(one.case_id, one)
    world.drain()
    assert _total(world.cases) == whole


def test_the_model_reaches_what_it_is_about() -> None:
    """A signal comes to a merged case, was split off the other, came back, and is taken back from there."""
    world = World()
    for home in ("case-2", "case-1"):
        for number in range(2):
            world._join(home, f"sig-{home}-{number}", 1)
            world.made += 1
    world.act("case-2", move("merge", case_id="case-2", into_case_id="case-1", queue=QUEUE))
    world.drain()
    assert world.cases["case-1"].signal_count == 4
    chosen = ("sig-case-2-1",)
    world.act("case-1", move("split", case_id="case-1", signals=chosen, queue=QUEUE))
    world.drain()
    assert (world.cases["case-1"].signal_count, world.cases["case-1~1"].signal_count) == (3, 1)
    world.act("case-1~1", move("merge", case_id="case-1~1", into_case_id="case-1", queue=QUEUE))
    world.act("case-2", taken_back(joined(**_shape(world.live["sig-case-2-1/1"][1])), "case-2"))
    world.drain()
    assert (world.cases["case-1"].signal_count, world.cases["case-1~1"].signal_count) == (3, 0)


def _shape(signal: Any) -> dict[str, Any]:
    return {name: getattr(signal, name) for name in type(signal).model_fields}
