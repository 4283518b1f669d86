"""From the ledger to what must stand in the log, and where: identities and contents, each with the range of its place.

An acknowledgement gives the offset of one append. An attempt in doubt may stand anywhere after what was acknowledged before
it was made (the ledger's own order), or nowhere. So every place is a range of offsets of one partition.
Invariant: whatever really happened lies in these ranges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from deploy.verify.ledger import LedgerEntry
from tests.oracle.reference_model import Content, Indicator, body_key, content_of, instant_ms

FAR = 1 << 60
SKEW_MS = 2000
"""How far the sender's clock and the broker's may differ."""


@dataclass
class Identity:
    """(institution, reference, version). `sure`: acknowledged. `low`..`high`: the offset of its first record.

    `blurred`: the reference was sent with several bodies, and nobody knows which came first. Each is an identity then, none
    is sure, and `acknowledged` tells whether one of them is in the log. `accepted_ms`: between when and when its first record
    was appended. `fate`: whether it counts in the end, as far as what senders took back goes (retractions.py).
    """

    who: str
    reference: str
    content: Content
    sure: bool
    low: int
    high: int
    partition: int | None
    signal_ids: set[str] = field(default_factory=set)
    accepted_ms: tuple[int, int] = (0, FAR)
    blurred: bool = False
    acknowledged: bool = False
    version: int = 1
    fate: Literal["live", "doubt", "dead"] = "live"


@dataclass
class Member:
    """A content of one institution: what counts once. `identities` are the references that it came under."""

    content: Content
    identities: list[Identity]

    @property
    def steady(self) -> bool:
        """Whether nobody took any of it back. Else a reference that stayed may be a re-send of one that is gone."""
        return all(one.fate == "live" for one in self.identities)

    @property
    def gone(self) -> bool:
        """Whether all of it was taken back."""
        return all(one.fate == "dead" for one in self.identities)

    @property
    def sure(self) -> bool:
        """Whether it surely counts, and goes on counting."""
        return self.steady and any(one.sure for one in self.identities)

    @property
    def low(self) -> int:
        return min(one.low for one in self.identities)

    @property
    def high(self) -> int:
        """Where the one that counts stands at the latest: any of them, when the first may have been taken back."""
        return (min if self.steady else max)(one.high for one in self.identities)

    @property
    def partition(self) -> int | None:
        return next((one.partition for one in self.identities if one.partition is not None), None)

    @property
    def first(self) -> Identity | None:
        """The reference that counts, when that is determined; the others are re-sends of it."""
        for one in self.identities:
            if one.sure and all(one.high < other.low for other in self.identities if other is not one):
                return one
        return None

    @property
    def accepted_ms(self) -> tuple[int, int]:
        """Between when and when the reference that counts was appended."""
        first = [self.first] if self.first is not None else [one for one in self.identities if self.may_be_first(one)]
        first = first if self.steady else self.identities
        return min(one.accepted_ms[0] for one in first), max(one.accepted_ms[1] for one in first)

    def may_be_first(self, identity: Identity) -> bool:
        return identity.low <= min((one.high for one in self.identities if one.sure and one is not identity), default=FAR)


def identities(entries: Iterable[LedgerEntry], hubs: frozenset[Indicator] = frozenset()) -> list[Identity]:
    """All identities of which a record stands in the log, or may. `hubs`: the policy's list, on which primary subjects depend."""
    entries = [entry for entry in entries if _may_stand(entry)]
    floors = _floors(entries)
    groups: dict[tuple[str, str, int], list[LedgerEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.who, entry.reference, entry.version), []).append(entry)
    partitions = _partitions(entries, hubs)
    return [
        one for (who, reference, _), group in groups.items() for one in _identity(who, reference, group, floors, partitions, hubs)
    ]


def _may_stand(entry: LedgerEntry) -> bool:
    """Whether a record of the entry may be in the log. A body that is not acceptable never is; one that was refused
    because its reference had another body is, perhaps, when an earlier attempt was in doubt."""
    if entry.fate == "refused" and not (entry.doubt and entry.problem == "reference-reused"):
        return False
    try:
        return bool(content_of(entry.who, entry.body).primary)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError):
        return False


def members(found: Iterable[Identity]) -> list[Member]:
    """Contents with the references they came under."""
    groups: dict[Content, list[Identity]] = {}
    for identity in found:
        groups.setdefault(identity.content, []).append(identity)
    return [Member(content, group) for content, group in groups.items()]


def _identity(
    who: str,
    reference: str,
    group: list[LedgerEntry],
    floors: dict[int, dict[int, int]],
    partitions: dict[Indicator, int],
    hubs: frozenset[Indicator],
) -> list[Identity]:
    """The identity; or one for each of its bodies when it is not determined which came first."""
    variants: dict[str, list[LedgerEntry]] = {}
    for entry in group:
        variants.setdefault(body_key(who, entry.body), []).append(entry)
    made = [_variant(who, reference, entries, floors, partitions, hubs) for entries in variants.values()]
    made.sort(key=lambda one: one.high)
    first = made[0]
    # Different subjects may lie in different partitions, between which there is no order.
    determined = all(first.high < one.low and first.partition == one.partition for one in made[1:])
    names = {entry.signal_id for entry in group if entry.signal_id}
    acknowledged = any(one.sure for one in made)
    kept = [first] if determined else made
    for one in kept:
        one.signal_ids, one.acknowledged, one.version = names, acknowledged, group[0].version
        if not determined:
            one.blurred, one.sure, one.high = True, False, FAR
    return kept


def _variant(
    who: str,
    reference: str,
    entries: list[LedgerEntry],
    floors: dict[int, dict[int, int]],
    partitions: dict[Indicator, int],
    hubs: frozenset[Indicator],
) -> Identity:
    content = content_of(who, entries[0].body, hubs)
    places = [entry.position for entry in entries if entry.position is not None]
    partition = places[0][0] if places else partitions.get(content.primary)
    high = min((offset for _, offset in places), default=FAR)
    low = high
    for entry in entries:
        if entry.doubt or entry.position is None:
            after = floors[id(entry)].get(partition, -1) if partition is not None else -1
            low = min(low, after + 1)
    made = Identity(who, reference, content, bool(places), min(low, high), high, partition)
    made.accepted_ms = _accepted(entries, made.low == made.high)
    return made


def _accepted(entries: list[LedgerEntry], known: bool) -> tuple[int, int]:
    """`known`: no attempt in doubt can stand before what was acknowledged."""
    answered = [instant_ms(entry.accepted_at) for entry in entries if entry.accepted_at is not None]
    latest = min(answered, default=FAR)
    earliest = min(entry.tried_ms for entry in entries) - SKEW_MS
    return (latest if known and answered else min(earliest, latest)), latest


def _partitions(entries: list[LedgerEntry], hubs: frozenset[Indicator]) -> dict[Indicator, int]:
    """The partition of a primary subject, as acknowledgements told it."""
    return {content_of(one.who, one.body, hubs).primary: one.position[0] for one in entries if one.position is not None}


def _floors(entries: list[LedgerEntry]) -> dict[int, dict[int, int]]:
    """For each entry in doubt: the highest offset of each partition that was acknowledged before its first attempt."""
    found: dict[int, dict[int, int]] = {}
    for ledger in {entry.ledger for entry in entries}:
        own = [entry for entry in entries if entry.ledger == ledger]
        acknowledged = sorted((one for one in own if one.position is not None), key=lambda one: one.answer_at or 0)
        doubtful = sorted((one for one in own if one.doubt or one.position is None), key=lambda one: one.first_try)
        highest: dict[int, int] = {}
        at = 0
        for entry in doubtful:
            while at < len(acknowledged) and (acknowledged[at].answer_at or 0) < entry.first_try:
                partition, offset = acknowledged[at].position or (0, -1)
                highest[partition] = max(offset, highest.get(partition, -1))
                at += 1
            found[id(entry)] = dict(highest)
    return found
