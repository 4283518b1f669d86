"""assess against a slow, sequential reading of the same records: outcome, sightings, institutions and routes of each one.

No faults here, only slicing: whatever the polls' sizes, the facts are those of taking one record after the other.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.topics import ASSESSED, SUBMITTED
from schemas.values import instant_ms
from stream_processors.agents import assess
from stream_processors.domain.routing import queue_of
from tests.property.test_pipeline import FACTOR, SIGNAL, Player
from tests.support.builders import POLICY
from tests.support.crashing import Crasher
from tests.support.world import World, sources


class SlowAssess:
    """What has been seen so far, as plain lists."""

    def __init__(self) -> None:
        self.references: dict[str, str] = {}
        self.contents: dict[str, str] = {}
        self.sightings: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
        self.queues: defaultdict[str, set[str]] = defaultdict(set)

    def take(self, signal: Any) -> tuple[str, int, int]:
        if signal.signal_id in self.references:
            return ("repeat" if self.references[signal.signal_id] == signal.body_id else "conflict"), 0, 0
        self.references[signal.signal_id] = signal.body_id
        occurred = instant_ms(signal.occurred_at)
        since = occurred - POLICY.window_s * 1000
        most, parties = 0, 0
        for subject in signal.subjects:
            self.sightings[subject.token].append((signal.content_id, signal.institution, occurred))
            inside = [one for one in self.sightings[subject.token] if one[2] > since]
            most = max(most, len({one[0] for one in inside}))
            parties = max(parties, len({one[1] for one in inside}))
        if signal.content_id in self.contents:
            return "resend", 0, 0
        self.contents[signal.content_id] = signal.signal_id
        return "assessed", most, parties

    def routed(self, signal: Any, score: int) -> set[str]:
        token = signal.subjects[0].token
        for rule in POLICY.routes[signal.kind]:
            threshold = POLICY.case_from if rule.from_score is None else rule.from_score
            queue = queue_of(rule, signal.region, POLICY)
            if rule.always or score >= threshold:
                self.queues[token].add(queue)
        allowed = {queue_of(rule, signal.region, POLICY) for rule in POLICY.routes[signal.kind]}
        return self.queues[token] & allowed


async def play(signals: list[Any], limits: list[int]) -> tuple[Player, list[tuple[int, int]]]:
    world = await World(workers=1).up()
    player = Player(world, Crasher())
    await player.signals(signals)
    order: list[tuple[int, int]] = []
    taken = 0
    while True:
        limit = limits[taken % len(limits)]
        batch = world.batch("assess", world.workers["assess"][0], limit)
        if not await world.poll("assess", 0, limit):
            return player, order
        order += [(record.partition, record.offset) for records in batch.values() for record in records]
        taken += 1


@settings(max_examples=60 * FACTOR)
@given(st.lists(SIGNAL, min_size=1, max_size=25), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_facts_are_those_of_reading_one_record_after_the_other(signals: list[Any], limits: list[int]) -> None:
    with patch.object(assess, "SPLIT_ABOVE", 1000):
        player, order = asyncio.run(play(signals, limits))
    found = sources(player.world.log.all(ASSESSED), ASSESSED)
    slow = SlowAssess()
    for source in order:
        signal, fact = player.ledger[source], found[source][0].data
        outcome, most, parties = slow.take(signal)
        assert fact.outcome.value == outcome
        if outcome != "assessed":
            assert (fact.score, fact.routes) == (0, ())
            continue
        evidence = {reason.rule: reason.evidence for reason in fact.reasons}
        assert evidence.get("velocity", {"sightings": 1})["sightings"] == most
        assert evidence.get("institutions", {"institutions": 1})["institutions"] == parties
        assert {route.queue for route in fact.routes} == slow.routed(signal, fact.score)
    assert len(found) == len(player.ledger) == len(player.world.log.all(SUBMITTED))
