"""What must have been known of a suspect when a signal was assessed: lower and upper bounds of its sightings.

Within a partition the log's order is the order of assessment; between partitions there is none. So the lower bound counts the
members that surely stand before in the same partition, the upper bound all that may.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from typing import NamedTuple

from tests.oracle.expected_log import Member
from tests.oracle.reference_model import Indicator


class Bounds(NamedTuple):
    """Sightings and institutions of the worst suspect, at least and at most."""

    sightings_low: int = 1
    sightings_high: int = 1
    institutions_low: int = 1
    institutions_high: int = 1

    def worst(self, other: Bounds) -> Bounds:
        return Bounds(*(max(pair) for pair in zip(self, other, strict=True)))


class _Seen:
    """Sightings so far: occurrence times, and the latest of each institution."""

    def __init__(self, found: list[Member] | None = None) -> None:
        self._times: list[int] = []
        self._latest: dict[str, int] = {}
        for member in found or []:
            self.add(member)

    def add(self, member: Member) -> None:
        """An echo of somebody else's signal is no sighting."""
        if member.content.echo:
            return
        when, who = member.content.occurred_ms, member.content.who
        insort(self._times, when)
        self._latest[who] = max(when, self._latest.get(who, when))

    def sightings(self, since: int) -> int:
        return len(self._times) - bisect_right(self._times, since)

    def institutions(self, since: int) -> set[str]:
        return {who for who, when in self._latest.items() if when > since}


def bounds(
    found: list[Member], window_ms: int, *, undisturbed: bool, maybe: frozenset[Indicator] = frozenset()
) -> dict[int, Bounds]:
    """By `id(member)`. `undisturbed`: no stage was ever killed, so nothing that stands later was known earlier. Listed hubs give
    nothing, those that `maybe` were measured perhaps nothing."""
    by_suspect: dict[Indicator, list[Member]] = defaultdict(list)
    for member in found:
        for suspect in member.content.seen:
            by_suspect[suspect].append(member)
    known: dict[int, Bounds] = {id(member): Bounds() for member in found}
    for suspect, group in by_suspect.items():
        for member, own in _of_suspect(group, window_ms, undisturbed):
            sure = own._replace(sightings_low=1, institutions_low=1) if suspect in maybe else own
            known[id(member)] = known[id(member)].worst(sure)
    return known


def _of_suspect(group: list[Member], window_ms: int, undisturbed: bool) -> list[tuple[Member, Bounds]]:
    everything = _Seen(group)
    by_partition: dict[int | None, list[Member]] = defaultdict(list)
    for member in group:
        by_partition[member.partition].append(member)
    answers = []
    for partition, own in by_partition.items():
        lows = _lows(own if partition is not None else [], window_ms)
        sweep = undisturbed and partition is not None
        others = [one for one in group if one.partition != partition]
        highs = _swept_highs(own, others, window_ms) if sweep else {}
        for member in own:
            since = max(0, member.content.occurred_ms - window_ms)
            low = lows.get(id(member), (1, 1))
            all_of_them = (everything.sightings(since), len(everything.institutions(since)))
            high = highs.get(id(member), all_of_them)
            answers.append((member, Bounds(low[0], high[0], low[1], high[1])))
    return answers


def _lows(own: list[Member], window_ms: int) -> dict[int, tuple[int, int]]:
    """What surely stands before, and the member itself."""
    seen = _Seen()
    arriving = sorted((one for one in own if one.sure), key=lambda one: one.high)
    at = 0
    found = {}
    for member in sorted(own, key=lambda one: one.low):
        while at < len(arriving) and arriving[at].high < member.low:
            seen.add(arriving[at])
            at += 1
        since = max(0, member.content.occurred_ms - window_ms)
        echo = member.content.echo
        institutions = seen.institutions(since) | (set() if echo else {member.content.who})
        found[id(member)] = (max(1, seen.sightings(since) + (not echo)), max(1, len(institutions)))
    return found


def _swept_highs(own: list[Member], others: list[Member], window_ms: int) -> dict[int, tuple[int, int]]:
    """What may stand before in the same partition, and all of the other partitions."""
    seen, elsewhere = _Seen(), _Seen(others)
    arriving = sorted(own, key=lambda one: one.low)
    at = 0
    found = {}
    for member in sorted(own, key=lambda one: one.high):
        while at < len(arriving) and arriving[at].low <= member.high:
            seen.add(arriving[at])
            at += 1
        since = max(0, member.content.occurred_ms - window_ms)
        institutions = seen.institutions(since) | elsewhere.institutions(since)
        found[id(member)] = (seen.sightings(since) + elsewhere.sightings(since), len(institutions))
    return found
