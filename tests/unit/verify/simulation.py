"""A small system in memory to try the oracle on: a gateway that fails, a log of partitions, an assess stage that works them off
in any order. Written from the laws of the state, without their code: it matters that the oracle's bounds hold whatever happens.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

from connectors.port import Answer
from deploy.demo_data.generate import Planned
from deploy.verify.compare import Live
from deploy.verify.ledger import Ledger
from deploy.verify.naive import Content, Known, Policy, body_key, content_of, instant_ms
from schemas.cases import Case
from stream_processors.state.receipts import Receipt

PARTITIONS = 4
NOW = datetime.now(UTC).isoformat()
"""The ledger has its own clock, so this one is real. The generated events are long ago: none is fresh."""


def signal_id(who: str, reference: str) -> str:
    return f"sig-{who}-{reference}"


@dataclass
class Log:
    """Partitions of (institution, body)."""

    partitions: dict[int, list[tuple[str, dict[str, Any]]]] = field(default_factory=lambda: {p: [] for p in range(PARTITIONS)})

    def append(self, who: str, body: dict[str, Any]) -> tuple[int, int]:
        primary = content_of(who, body).primary
        partition = crc32(repr(primary).encode()) % PARTITIONS
        self.partitions[partition].append((who, body))
        return partition, len(self.partitions[partition]) - 1


def send(planned: Sequence[Planned], ledger_file: Path, rng: Random, failing: float, batch: int = 7) -> Log:
    """A sender with a ledger and a gateway that fails now and then: before the append, after it, and with lost memory."""
    log, memory = Log(), {}
    with Ledger(ledger_file, sync=False) as ledger:
        for start in range(0, len(planned), batch):
            by_sender = defaultdict(list)
            for one in planned[start : start + batch]:
                by_sender[one.institution].append(one.body)
            for who, bodies in by_sender.items():
                _send(log, memory, ledger, who, bodies, rng, failing)
    return log


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
            key, text = (who, body["reference"]), body_key(who, body)
            known = memory.get(key)
            if known is not None and known[0] != text:
                journal.answered(index, Answer("refused", problem={"type": "urn:x:reference-reused"}))
            elif known is None and rng.random() < failing:
                if rng.random() < 0.5:
                    log.append(who, body)
                journal.failed([index], "cut", taken=None)
                again.append(index)
            else:
                position = known[1] if known else log.append(who, body)
                memory[key] = text, position
                journal.answered(index, Answer("accepted", signal_id(*key), NOW, ("t", *position)))
        journal.settled()
        left = again


class Stage:
    """Assesses the log, the partitions interleaved by chance; gives what the views would say."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._bodies: dict[tuple[str, str], str] = {}
        self._contents: dict[Content, str] = {}
        self._seen: dict[Any, set[Content]] = defaultdict(set)
        self._hit: dict[Any, set[Content]] = defaultdict(set)
        self._open: dict[Any, set[str]] = defaultdict(set)
        self.receipts: dict[str, Receipt] = {}
        self.joined: dict[tuple[str, Any], list[tuple[str, Content, int]]] = defaultdict(list)
        self.counters: dict[str, int] = defaultdict(int)

    def run(self, log: Log, rng: Random) -> Live:
        places = [partition for partition, records in log.partitions.items() for _ in records]
        rng.shuffle(places)
        at = dict.fromkeys(log.partitions, 0)
        for partition in places:
            self._assess(*log.partitions[partition][at[partition]])
            at[partition] += 1
        return Live(self.receipts, {case.case_id: case for case in self._cases()}, dict(self.counters))

    def _assess(self, who: str, body: dict[str, Any]) -> None:
        key, text, content = (who, body["reference"]), body_key(who, body), content_of(who, body)
        if key in self._bodies:
            self.counters[f"{'repeat' if self._bodies[key] == text else 'conflict'}:{who}"] += 1
            return
        self._bodies[key] = text
        name = signal_id(*key)
        if content in self._contents:
            self.counters[f"resend:{who}"] += 1
            self.receipts[name] = receipt(name, "resend", of=self._contents[content])
            return
        self._contents[content] = name
        self.counters[f"assessed:{who}"] += 1
        score = self._score(content)
        queues = self._queues(content, score)
        for queue in queues:
            self._open[content.primary].add(queue)
            self.joined[queue, content.primary].append((name, content, score))
        severity = self._policy.severity(score)
        cases = tuple(f"{queue}/{content.primary}" for queue in queues)
        self.receipts[name] = receipt(name, "assessed", score=score, severity=severity, queues=tuple(queues), cases=cases)

    def _score(self, content: Content) -> int:
        since = content.occurred_ms - self._policy.window_ms
        sightings = institutions = 0
        for suspect in content.suspects:
            self._seen[suspect].add(content)
            near = [one for one in self._seen[suspect] if one.occurred_ms > since]
            sightings = max(sightings, len(near))
            institutions = max(institutions, len({one.who for one in near}))
        known = Known(instant_ms(NOW), sightings, institutions, repeat_victim=self._victims(content))
        return self._policy.score(content, known)

    def _victims(self, content: Content) -> int:
        most = 0
        for victim in content.victims:
            self._hit[victim].add(content)
            earlier = [one for one in self._hit[victim] if one.occurred_ms <= content.occurred_ms - self._policy.apart_ms]
            most = max(most, len(earlier))
        return most

    def _queues(self, content: Content, score: int) -> list[str]:
        found = self._policy.queues(content)
        return [queue for queue, threshold in found if score >= threshold or queue in self._open[content.primary]]

    def _cases(self) -> list[Case]:
        cases = []
        for (queue, primary), joined in self.joined.items():
            amounts: dict[str, int] = defaultdict(int)
            for _, content, _ in joined:
                if content.currency and content.amount_minor is not None:
                    amounts[content.currency] += content.amount_minor
            score = max(points for _, _, points in joined)
            raw = {
                "case_id": f"{queue}/{primary}", "queue": queue, "revision": len(joined), "status": "open",
                "opened_at": NOW, "changed_at": NOW, "primary_signal_id": joined[0][0], "score": score,
                "primary": {"kind": primary[0], "role": "suspect", "token": "t", "sealed": "s"},
                "severity": self._policy.severity(score), "kinds": sorted({one.kind for _, one, _ in joined}),
                "institutions": sorted({one.who for _, one, _ in joined}), "signal_count": len(joined),
                "amount_minor": amounts, "signals": [],
            }  # fmt: skip
            cases.append(Case.model_validate_json(json.dumps(raw)))
        return cases


def receipt(name: str, outcome: str, **more: Any) -> Receipt:
    return Receipt.trusted(
        signal_id=name, outcome=outcome, accepted_at=NOW, assessed_at=NOW, institution="x", reference="x", **more
    )
