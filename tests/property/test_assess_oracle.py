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

from schemas.common import instant_ms
from schemas.topics import ASSESSED, SUBMITTED
from stream_processors.agents import assess
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.routing import case_id, queue_of
from stream_processors.domain.signals.scoring import score
from tests.property.test_pipeline import FACTOR, SIGNAL, Player
from tests.support.builders import CROWDED as POLICY
from tests.support.builders import T0_MS
from tests.support.crashing import Crasher
from tests.support.world import World, sources

LEAD = "organized_crime"


def _tokens(signal: Any, role: str) -> set[str]:
    return {subject.token for subject in signal.subjects if subject.role == role}


def _type(signal: Any) -> str | None:
    return signal.event.type if signal.event else None


def _moves(signal: Any) -> bool:
    """Whether it is a transfer from somebody to somebody."""
    return _type(signal) == "transfer" and not any(one.unmatched for one in signal.subjects if one.event_role)


def _held(came: Any, went: Any) -> list[int]:
    span = instant_ms(went.at) - instant_ms(came.at)
    nearly = came.amount_minor * (1000 - POLICY.flows.max_loss_permille) <= went.amount_minor * 1000
    fits = nearly and went.amount_minor <= came.amount_minor and 0 <= span <= POLICY.passing_s * 1000
    return [span // 1000] if fits else []


class SlowAssess:
    """What has been seen so far, as plain lists."""

    def __init__(self) -> None:
        self.references: dict[str, str] = {}
        self.contents: dict[str, str] = {}
        self.seen: dict[str, Any] = {}
        self.queues: defaultdict[tuple[str, bool], set[str]] = defaultdict(set)

    def take(self, signal: Any) -> tuple[str, Features]:
        if signal.signal_id in self.references:
            return ("duplicate_reference" if self.references[signal.signal_id] == signal.body_id else "conflict"), Features()
        self.references[signal.signal_id] = signal.body_id
        if signal.derived_from is None:
            self.seen[signal.content_id] = signal
        if signal.content_id in self.contents:
            return "duplicate_content", Features()
        self.contents[signal.content_id] = signal.signal_id
        return "assessed", self.features(signal)

    def hubs(self, signal: Any) -> set[str]:
        """The suspects that are listed, or were seen within the window beside more primary subjects than the policy allows."""
        since = instant_ms(signal.occurred_at) - POLICY.window_s * 1000
        found = {subject.token for subject in signal.subjects if subject.hub}
        if signal.kind == LEAD:
            return found
        for token in _tokens(signal, "suspect") - found:
            beside = set()
            for one in self._alike(signal):
                own = next((subject for subject in one.subjects if (subject.token, subject.role) == (token, "suspect")), None)
                if own is not None and instant_ms(one.occurred_at) > since and own.event_role not in ("payer", "payee"):
                    beside.add(one.subjects[0].token)
            if len(beside - {token}) > POLICY.hubs.max_primary_subjects:
                found.add(token)
        return found

    def leads(self, signal: Any) -> str:
        known = self.hubs(signal)
        suspects = (one for one in signal.subjects if one.role == "suspect" and not one.derived)
        return str(next((one.token for one in suspects if one.token not in known), signal.signal_id))

    def features(self, signal: Any) -> Features:
        since = instant_ms(signal.occurred_at) - POLICY.window_s * 1000
        found = Features(age_s=(T0_MS - instant_ms(signal.occurred_at)) // 1000)
        for token in _tokens(signal, "suspect") - self.hubs(signal):
            named = [one for one in self._alike(signal) if token in _tokens(one, "suspect")]
            inside = [one for one in named if instant_ms(one.occurred_at) > since]
            found = found._replace(
                sightings=max(found.sightings, len(inside)),
                institutions=max(found.institutions, len({one.institution for one in inside})),
            )
        gaps = [gap for gap in self._gaps(signal) if 0 <= gap <= POLICY.contact_s]
        return self._transfer(signal, found._replace(contact_gap_s=min(gaps, default=None), victim_events=self._earlier(signal)))

    def _alike(self, signal: Any) -> list[Any]:
        """Leads of organized crime are looked at among themselves, and nothing else is looked at among them."""
        return [one for one in self.seen.values() if (one.kind == LEAD) == (signal.kind == LEAD)]

    def _gaps(self, signal: Any) -> list[int]:
        """Seconds from a call to a transfer that hits the same victim; one of both is this signal."""
        gaps = []
        for other in self._alike(signal):
            both = {_type(signal), _type(other)} == {"call", "transfer"}
            if both and _tokens(signal, "victim") & _tokens(other, "victim"):
                call, transfer = (signal, other) if _type(signal) == "call" else (other, signal)
                gaps.append((instant_ms(transfer.event.at) - instant_ms(call.event.at)) // 1000)
        return gaps

    def _earlier(self, signal: Any) -> int:
        before = instant_ms(signal.occurred_at) - POLICY.flows.victim_window_s * 1000
        hits = [
            sum(token in _tokens(one, "victim") and instant_ms(one.occurred_at) <= before for one in self._alike(signal))
            for token in _tokens(signal, "victim")
        ]
        return max(hits, default=0)

    def _transfer(self, signal: Any, found: Features) -> Features:
        if not _moves(signal):
            return found
        at, event, suspects = instant_ms(signal.event.at), signal.event, _tokens(signal, "suspect")
        moved = [one for one in self._alike(signal) if _moves(one)]
        near = [one for one in moved if abs(instant_ms(one.event.at) - at) < POLICY.flows.window_s * 1000]
        held: list[int] = []
        pairs: list[str] = []
        for end, other in (("payer", "payee"), ("payee", "payer")):
            whose = getattr(event, end)
            if whose not in suspects:
                continue
            same = [one for one in near if getattr(one.event, end) == whose and whose in _tokens(one, "suspect")]
            fan = len({getattr(one.event, other) for one in same})
            found = found._replace(fan_out=fan) if end == "payer" else found._replace(fan_in=fan)
            pairs += [one.institution for one in same if getattr(one.event, other) == getattr(event, other)]
            for one in moved:
                came, went = (one, signal) if end == "payer" else (signal, one)
                through = getattr(one.event, other) == whose and whose in _tokens(one, "suspect")
                if through and came.event.payer != went.event.payee:
                    held += _held(came.event, went.event)
            by = max((pairs.count(who) for who in pairs), default=0)
            found = found._replace(same_pair=max(found.same_pair, by))
            pairs.clear()
        return found._replace(held_s=min(held, default=None))

    def routed(self, signal: Any, score: int) -> set[str]:
        known = self.hubs(signal)
        token = self.leads(signal), signal.kind == LEAD
        suspects = (one for one in signal.subjects if one.role == "suspect" and not one.derived)
        kinds = {one.kind for one in suspects if one.token not in known}
        for rule in POLICY.routes[signal.kind]:
            threshold = POLICY.case_threshold if rule.from_score is None else rule.from_score
            queue = queue_of(rule, signal.region, POLICY)
            touched = not rule.indicator_kinds or kinds & set(rule.indicator_kinds)
            if touched and (rule.always or score >= threshold):
                self.queues[token].add(queue)
        allowed = {queue_of(rule, signal.region, POLICY) for rule in POLICY.routes[signal.kind]}
        return self.queues[token] & allowed


async def play(signals: list[Any], limits: list[int]) -> tuple[Player, list[tuple[int, int]]]:
    world = await World(policy=POLICY, workers=1).up()
    player = Player(world, Crasher())
    for one in signals:
        await (player.crowd(one) if one["crowd"] else player.signal(one))
    order: list[tuple[int, int]] = []
    taken = 0
    while True:
        limit = limits[taken % len(limits)]
        batch = world.batch("assess", world.workers["assess"][0], limit)
        if not await world.poll("assess", 0, limit):
            return player, order
        order += [(record.partition, record.offset) for records in batch.values() for record in records]
        taken += 1


FIRST = st.tuples(SIGNAL, st.sampled_from([False] * 5 + [True])).map(lambda one: {**one[0], "version": 1, "crowd": one[1]})
"""Corrections are told by a record of their own, which the slow reading does not have: test_pipeline and test_oracle_holds do."""


@settings(max_examples=60 * FACTOR)
@given(st.lists(FIRST, min_size=1, max_size=25), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_facts_are_those_of_reading_one_record_after_the_other(signals: list[Any], limits: list[int]) -> None:
    with patch.object(assess, "SPLIT_ABOVE", 1000):
        player, order = asyncio.run(play(signals, limits))
    found = sources(player.world.log.all(ASSESSED), ASSESSED)
    slow = SlowAssess()
    for source in order:
        signal, fact = player.ledger[source], found[source][0].data
        outcome, features = slow.take(signal)
        assert fact.outcome.value == outcome
        if outcome != "assessed":
            assert (fact.score, fact.routes) == (0, ())
            continue
        assert (fact.score, fact.reasons) == score(signal, features, POLICY)
        assert {subject.token for subject in fact.subjects if subject.hub} == slow.hubs(signal)
        leads = slow.leads(signal) + ("~lead" if signal.kind == LEAD else "")
        assert {(route.queue, route.case_id) for route in fact.routes} == {
            (queue, case_id(queue, leads)) for queue in slow.routed(signal, fact.score)
        }
    assert len(found) == len(player.ledger) == len(player.world.log.all(SUBMITTED))
