"""A small system in memory to try the oracle on: a gateway that fails, a log of partitions, an assess stage that works them off
in any order. Written from the laws of the state, without their code: it matters that the oracle's bounds hold whatever happens.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

from connectors.contract import SignalAnswer
from deploy.demo.generate import Planned
from deploy.verify.ledger import Ledger
from schemas.cases.case import Case
from stream_processors.views.receipts import Receipt
from tests.oracle.compare import Live
from tests.oracle.hubs import beside, leading
from tests.oracle.reference_model import Content, Indicator, Known, Policy, body_key, content_of, instant_ms

PARTITIONS = 4
FOREVER = 10**6
NOW = datetime.now(UTC).isoformat()
"""The ledger has its own clock, so this one is real. The generated events are long ago: none is fresh."""


def place_of(receipt: str) -> tuple[int, int]:
    """Receipts of the simulated gateway are `partition/offset`."""
    partition, offset = map(int, receipt.split("/"))
    return partition, offset


def signal_id(who: str, reference: str) -> str:
    return f"sig-{who}-{reference}"


@dataclass
class Log:
    """Partitions of (institution, body), and what was taken back."""

    taken_back: list[tuple[str, str]] = field(default_factory=list)
    partitions: dict[int, list[tuple[str, dict[str, Any]]]] = field(default_factory=lambda: {p: [] for p in range(PARTITIONS)})

    hubs: frozenset[Indicator] = frozenset()

    def append(self, who: str, body: dict[str, Any]) -> tuple[int, int]:
        if "retract" in body:
            self.taken_back.append((who, body["reference"]))
            return 0, len(self.taken_back) - 1
        primary = content_of(who, body, self.hubs).primary
        partition = crc32(repr(primary).encode()) % PARTITIONS
        self.partitions[partition].append((who, body))
        return partition, len(self.partitions[partition]) - 1


def send(
    planned: Sequence[Planned],
    ledger_file: Path,
    rng: Random,
    failing: float,
    batch: int = 7,
    hubs: frozenset[Indicator] = frozenset(),
) -> Log:
    """A sender with a ledger and a gateway that fails now and then: before the append, after it, and with lost memory. `hubs`:
    the policy's list, as the gateway knows it."""
    log, memory = Log(hubs=hubs), {}
    with Ledger(ledger_file, sync=False) as ledger:
        for start in range(0, len(planned), batch):
            by_sender = defaultdict(list)
            for one in planned[start : start + batch]:
                by_sender[one.institution].append(one.body)
            for who, bodies in by_sender.items():
                _send(log, memory, ledger, who, bodies, rng, failing)
    return log


def second_thoughts(planned: Sequence[Planned], rng: Random, share: float) -> list[Planned]:
    """The same with corrections and retractions in between, before what they take back, too."""
    found = list(planned)
    for one in planned:
        for version in range(2, 4):
            if rng.random() < share:
                body = {**one.body, "version": version, "amount": {"minor": rng.choice([100, 7_000_000]), "currency": "CNY"}}
                found.insert(rng.randrange(len(found) + 1), replace(one, body=body))
        if rng.random() < share:
            body = {"reference": one.body["reference"], "retract": "a false alarm"}
            found.insert(rng.randrange(len(found) + 1), replace(one, body=body))
    return found


def _key(who: str, body: dict[str, Any]) -> tuple[Any, ...]:
    """What a body is remembered under."""
    return (who, body["reference"], "retraction" if "retract" in body else body.get("version", 1))


def _send(log: Log, memory: dict, ledger: Ledger, who: str, bodies: list[dict], rng: Random, failing: float) -> None:
    journal = ledger.journal(who)(bodies)
    left = list(range(len(bodies)))
    while left:
        journal.trying(left)
        if rng.random() < failing / 3:
            memory.clear()
        again = []
        for index in left:
            body = bodies[index]
            key, text = _key(who, body), str(body["retract"]) if "retract" in body else body_key(who, body)
            known = memory.get(key)
            if known is not None and known[0] != text:
                journal.answered(index, SignalAnswer("refused", problem={"type": "urn:x:reference-reused"}))
            elif known is None and rng.random() < failing:
                if rng.random() < 0.5:
                    log.append(who, body)
                journal.failed([index], "cut", taken=None)
                again.append(index)
            else:
                position = known[1] if known else log.append(who, body)
                memory[key] = text, position
                journal.answered(
                    index, SignalAnswer("accepted", signal_id(who, body["reference"]), NOW, "{}/{}".format(*position))
                )
        journal.settled()
        left = again


class Counted(NamedTuple):
    """A version that counts, and what it added."""

    key: tuple[str, str]
    version: int
    content: Content
    score: int
    queues: list[str]
    lead: Indicator


class Stage:
    """Assesses the log, the partitions interleaved by chance; gives what the views would say."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._bodies: dict[tuple[Any, ...], str] = {}
        self._contents: dict[Content, tuple[str, str]] = {}
        self._seen: dict[Any, set[Content]] = defaultdict(set)
        self._hit: dict[Any, set[Content]] = defaultdict(set)
        self._open: dict[Any, dict[str, str]] = defaultdict(dict)
        self._floor: dict[tuple[str, str], int] = defaultdict(int)
        self._due: list[tuple[str, str]] = []
        self._told: dict[tuple[str, str], dict[int, Receipt]] = defaultdict(dict)
        self.live: list[Counted] = []
        self.counters: dict[str, int] = defaultdict(int)

    def run(self, log: Log, rng: Random) -> Live:
        places: list[int | None] = [partition for partition, records in log.partitions.items() for _ in records]
        places += [None] * len(log.taken_back)
        rng.shuffle(places)
        at = dict.fromkeys([*log.partitions, None], 0)
        for partition in places:
            if partition is None:
                self._floor[log.taken_back[at[None]]] = FOREVER
                self._due.append(log.taken_back[at[None]])
            else:
                self._assess(*log.partitions[partition][at[partition]])
            at[partition] += 1
            if self._due and rng.random() < 0.5:
                self._undo(self._due.pop(rng.randrange(len(self._due))))
        for key in self._due:
            self._undo(key)
        return Live(self._receipts(), {case.case_id: case for case in self._cases()}, dict(self.counters))

    def _receipts(self) -> dict[str, Receipt]:
        found = {signal_id(*key): versions[max(versions)] for key, versions in self._told.items()}
        gone = {signal_id(*key) for key, floor in self._floor.items() if floor == FOREVER}
        return {name: one.model_copy(update={"outcome": "retracted"}) if name in gone else one for name, one in found.items()}

    def _undo(self, key: tuple[str, str]) -> None:
        """Takes away what versions below the floor had added."""
        for one in [one for one in self.live if one.key == key and one.version < self._floor[key]]:
            self.live.remove(one)
            newer = any(other.content == one.content for other in self.live if other.key == key)
            if self._contents.get(one.content) == key and not newer:
                del self._contents[one.content]
                self._forget(one.content)

    def _forget(self, content: Content) -> None:
        for suspect in content.seen:
            self._seen[suspect].discard(content)
        for victim in content.victims:
            self._hit[content.apart(victim)].discard(content)

    def _assess(self, who: str, body: dict[str, Any]) -> None:
        slot, text, content = _key(who, body), body_key(who, body), content_of(who, body, self._policy.listed)
        if slot in self._bodies:
            self.counters[f"{'repeat' if self._bodies[slot] == text else 'conflict'}:{who}"] += 1
            return
        self._bodies[slot] = text
        key, version = (who, str(body["reference"])), int(body.get("version", 1))
        name = signal_id(*key)
        if version < self._floor[key]:
            self.counters[f"retracted:{who}"] += 1
            self._told[key][version] = receipt(name, "retracted")
            return
        if version > 1:
            self._floor[key] = version
            self._due.append(key)
            for older in [one for one in self.live if one.key == key and one.content != content]:
                if self._contents.get(older.content) == key:
                    self._forget(older.content)
        if self._contents.get(content, key) != key:
            self.counters[f"duplicate_content:{who}"] += 1
            self._told[key][version] = receipt(name, "duplicate_content", duplicate_of=signal_id(*self._contents[content]))
            return
        self._contents[content] = key
        self.counters[f"assessed:{who}"] += 1
        hubs = self._hubs(content)
        leads = leading(content, hubs, ())
        lead = leads[-1] if leads and leads[-1] not in hubs else ("own case", name)
        score = self._score(content, hubs)
        queues = self._queues(content, score, hubs, lead)
        for queue in queues:
            self._open[lead].setdefault(queue, name)
        self.live.append(Counted(key, version, content, score, queues, lead))
        alone = self._policy.score(content, Known(instant_ms(NOW)))
        severity = self._policy.severity(alone if content.lead else score)
        cases = tuple(f"{queue}/{lead}" for queue in queues)
        self._told[key][version] = receipt(name, "assessed", score=score, severity=severity, queues=tuple(queues), cases=cases)

    def _hubs(self, content: Content) -> frozenset[Indicator]:
        """What was seen within the window beside too many primary subjects, as it is matched."""
        found = set()
        for suspect in content.seen:
            self._seen[suspect].add(content)
            since = content.occurred_ms - self._policy.window_ms
            near = [one for one in self._seen[suspect] if one.occurred_ms > since]
            primaries = {primary for one in near for subject, primary in beside(one) if subject == suspect}
            if len(primaries) > (self._policy.most_primaries or FOREVER):
                found.add(suspect)
        return frozenset(found)

    def _score(self, content: Content, hubs: frozenset[Indicator]) -> int:
        since = content.occurred_ms - self._policy.window_ms
        sightings = institutions = 1
        for suspect in set(content.seen) - hubs:
            near = [one for one in self._seen[suspect] if one.occurred_ms > since]
            sightings = max(sightings, len(near))
            institutions = max(institutions, len({one.who for one in near}))
        known = Known(instant_ms(NOW), sightings, institutions, repeat_victim=self._victims(content))
        return self._policy.score(content, known)

    def _victims(self, content: Content) -> int:
        most = 0
        for victim in content.victims:
            hit = self._hit[content.apart(victim)]
            hit.add(content)
            earlier = [one for one in hit if one.occurred_ms <= content.occurred_ms - self._policy.apart_ms]
            most = max(most, len(earlier))
        return most

    def _queues(self, content: Content, score: int, hubs: frozenset[Indicator], lead: Indicator) -> list[str]:
        found = self._policy.queues(content, hubs)
        return [queue for queue, threshold in found if score >= threshold or queue in self._open[lead]]

    def _cases(self) -> list[Case]:
        cases = []
        for primary, queues in self._open.items():
            for queue, first in queues.items():
                joined = [one for one in self.live if one.lead == primary and queue in one.queues]
                alone = {"kind": "phone", "hub": "hotline"} if primary[0] == "own case" else {"kind": primary[0].split()[0]}
                amounts: dict[str, int] = defaultdict(int)
                for one in joined:
                    if one.content.currency and one.content.amount_minor is not None:
                        amounts[one.content.currency] += one.content.amount_minor
                score = max((one.score for one in joined), default=0)
                raw = {
                    "case_id": f"{queue}/{primary}", "queue": queue, "revision": 1, "status": "open" if joined else "retracted",
                    "opened_at": NOW, "changed_at": NOW, "primary_signal_id": first, "score": score,
                    "primary_subject": {"role": "suspect", "token": ":".join(primary)[:160], "sealed": "s", **alone},
                    "severity": self._policy.severity(score), "kinds": sorted({one.content.kind for one in joined}),
                    "institutions": sorted({one.content.who for one in joined}), "signal_count": len(joined),
                    "amount_minor": amounts, "signals": [], "tally": {"scores": {}, "institutions": {}, "kinds": {}},
                }  # fmt: skip
                cases.append(Case.model_validate_json(json.dumps(raw)))
        return cases


def receipt(name: str, outcome: str, **more: Any) -> Receipt:
    return Receipt.trusted(signal_id=name, outcome=outcome, accepted_at=NOW, assessed_at=NOW, institution="x", **more)
