"""The work of ../shared/peers on our transport and state protocol: the program that its harness starts, as it starts the peers.

Claims, sightings, facts that name their source, the check of where they landed, marks in every bucket, the restore barrier:
all as assess does. One difference, because the harness counts outputs: a repeat writes nothing.
Environment of the harness: BROKER IN OUT GROUP STATE STAMP; REDIS_URL is ours.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import faust
import orjson
import uvloop

from schemas.common import DAY_MS, Stored
from schemas.envelope import Envelope, Origin
from schemas.security import AesGcmSealer
from schemas.topics import Topic
from stream_processors import worker
from stream_processors.agents.base import Agent, AgentPorts, Batch
from stream_processors.agents.feature_queries import WIDTHS, of_suspect
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.log import Record
from stream_processors.runtime.settings import Settings
from stream_processors.state.effects import Arg, Effect, claim, see
from stream_processors.state.keys import BUCKETS, AssessKey, Namespace, bucket_of
from stream_processors.state.marks import Mark, MarkKind, Marks, MarkStream, fact_mark, source_mark
from stream_processors.state.shared_hashes import drawer_of, short
from stream_processors.state.store import Check, RedisStore, Write, connect
from stream_processors.state.streams import FactStream, Stage

Lead = dict[str, Any]


class PeerFact(Stored):
    """What a fold needs of an output; the harness reads the members beside it."""

    signal_id: str
    account: str
    institution: str
    occurred_ms: int


def _fold(envelope: Envelope[PeerFact]) -> list[Effect]:
    fact = envelope.data
    _, partition, offset, _ = (envelope.origin or "").rsplit("/", 3)
    until = fact.occurred_ms + 2 * DAY_MS
    return [
        claim(AssessKey.REFERENCES.key(fact.signal_id), f"{partition}:{offset}", _never()),
        see(
            AssessKey.SIGHTINGS.key(fact.account),
            fact.signal_id,
            fact.institution,
            fact.occurred_ms,
            max(until, _never()),
        ),
    ]


def _never() -> int:
    """The leads are of one January; what is to live through a run ends later."""
    return 4_000_000_000_000


_ANSWERS = WIDTHS["s"]
IN = Topic(os.environ.get("IN", "peer-in"), "account", PeerFact, (), (), 1)
OUT = Topic(os.environ.get("OUT", "peer-out"), "account", PeerFact, (), (), 1)
STREAM = FactStream(OUT, {IN.name: MarkStream.OWN}, MarkStream.OWN, _fold, PeerFact)


class Peer(Agent):
    """One poll: claim, observe, decide, record, fold."""

    stage = Stage("peer", Namespace("pw"), (IN,), (OUT,), (STREAM,))

    def __init__(self, ports: AgentPorts, rule: Any) -> None:
        super().__init__(ports)
        self._validate: Callable[[Lead], int] = rule.validate
        self._signal: Callable[[Lead, int, int], Lead] = rule.signal

    async def _process_poll(self, batch: Batch) -> None:
        parts = sorted(batch.items(), key=lambda item: -len(item[1]))
        await asyncio.gather(*(self._part(dict(half)) for half in (parts[::2], parts[1::2]) if half))

    async def _part(self, batch: Mapping[tuple[str, int], Sequence[Record]]) -> None:
        leads = [read for records in batch.values() for record in records if (read := self._read(record)) is not None]
        partitions, nonce = sorted(p for _, p in batch), secrets.token_hex(6)
        claims: dict[int, list[Arg]] = {}
        asked: dict[int, list[int]] = {}
        for index, (record, lead, _) in enumerate(leads):
            name, source = lead["id"], f"{record.partition}:{record.offset}"
            bucket = bucket_of(name)
            claims.setdefault(bucket, []).extend((short(name), drawer_of(name), 1, source, _never()))
            asked.setdefault(bucket, []).append(index)
        held = await self._ask("claim", claims, partitions, nonce)
        repeats = set()
        for bucket, answer in held.items():
            for index, holder in zip(asked[bucket], answer[::3], strict=True):
                record = leads[index][0]
                if holder and holder.decode() != f"{record.partition}:{record.offset}":
                    repeats.add(index)
        fresh = [lead for index, lead in enumerate(leads) if index not in repeats]
        seen, touched = await self._observe(fresh, partitions, nonce)
        landed = await self._record(fresh, seen)
        await self._move(batch, landed, touched | set(claims), nonce)

    def _read(self, record: Record) -> tuple[Record, Lead, int] | None:
        try:
            lead: Lead = orjson.loads(record.value or b"")
            return record, lead, self._validate(lead)
        except (ValueError, ArithmeticError):
            return None

    async def _ask(self, script: str, args: dict[int, list[Arg]], partitions: Sequence[int], nonce: str) -> dict[int, list[Any]]:
        checks: dict[Mark, Check] = {source_mark(p): self.marks.get(source_mark(p), 0) for p in partitions}
        sets = _proofs(partitions, nonce)
        return await self.store.call(script, self._stamp, {b: Write(checks, sets, found) for b, found in args.items()})

    async def _observe(
        self, leads: Sequence[tuple[Record, Lead, int]], partitions: Sequence[int], nonce: str
    ) -> tuple[list[tuple[int, int]], set[int]]:
        args: dict[int, list[Arg]] = {}
        asked: dict[int, list[int]] = {}
        for index, (_, lead, at) in enumerate(leads):
            bucket = bucket_of(lead["account"])
            row = of_suspect(lead["account"], lead["id"], lead["institution"], at, at - DAY_MS, at - 2 * DAY_MS, _never(), at)
            args.setdefault(bucket, []).extend(row)
            asked.setdefault(bucket, []).append(index)
        seen = [(0, 0)] * len(leads)
        for bucket, answer in (await self._ask("observe", args, partitions, nonce)).items():
            for place, index in enumerate(asked[bucket]):
                seen[index] = answer[_ANSWERS * place], answer[_ANSWERS * place + 1]
        return seen, set(args)

    async def _record(self, leads: Sequence[tuple[Record, Lead, int]], seen: Sequence[tuple[int, int]]) -> dict[int, int]:
        """Facts a partition."""
        facts: list[tuple[Record, bytes | None, bytes]] = []
        for (record, lead, at), (count, institutions) in zip(leads, seen, strict=True):
            told = self._signal(lead, count, institutions)
            fact = {"signal_id": lead["id"], "account": lead["account"], "institution": lead["institution"], "occurred_ms": at}
            origin = str(Origin(IN.name, record.partition, record.offset))
            head = {"id": lead["id"], "source": "/peer", "type": OUT.type, "time": lead["occurred_at"], "actor": "peer"}
            value = orjson.dumps({**told, **head, "origin": origin, "data": fact})
            facts.append((record, record.key, value))
        await self.append_facts(OUT, facts)
        return Counter(record.partition for record, _, _ in facts)

    async def _move(self, batch: Batch, landed: Mapping[int, int], touched: set[int], nonce: str) -> None:
        sets: Marks = {}
        for (_, p), records in batch.items():
            sets |= {source_mark(p): records[-1].offset + 1, fact_mark(p): self.marks.get(fact_mark(p), 0) + landed.get(p, 0)}
        checks, proofs = self.checks_before(sets), _proofs([p for _, p in batch], nonce)
        await self.store.call(
            "fold", self._stamp, {b: Write(checks | proofs if b in touched else checks, sets) for b in range(BUCKETS)}
        )
        self.marks |= sets


def _proofs(partitions: Sequence[int], nonce: str) -> dict[Mark, Arg]:
    return {Mark(MarkKind.PROOF, p): nonce for p in partitions}


async def _open(settings: Settings, group: str) -> Agent:
    log = KafkaLog(settings, settings.worker_id)
    store = RedisStore(connect(settings.redis_url), Namespace(f"{group}."))
    await log.open()
    await store.open()
    sys.path.insert(0, str(Path.cwd()))
    agent = Peer(AgentPorts(log, store, settings.policy(), AesGcmSealer(settings.keyring())), import_module("assess"))
    await agent.start()
    return agent


def main() -> None:
    group, home = os.environ["GROUP"], Path(os.environ["STATE"])  # the group is all processes', the folder each one's own
    settings = Settings(kafka_bootstrap=os.environ["BROKER"], worker_id=f"{group}-{home.name}", home=home, profile="peer")
    worker.spare_collector()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    agent = loop.run_until_complete(_open(settings, group))
    app = worker.build_app(settings, group, loop)
    worker.wire(app, agent)
    sys.argv = sys.argv[:1]
    faust.Worker(app, loop=loop, loglevel="WARN", redirect_stdouts=False, override_logging=False).execute_from_commandline()


if __name__ == "__main__":
    main()
