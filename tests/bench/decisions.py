"""decisions: are repeats told from news, and do those who launder stand at the top? The real assess stage over a real Redis.

Transfers (AMLSim's samples where they are, a planted town always) are fed as signals, one a transfer, both ends suspects, as one
bank's feed. An account's score is the highest of its signals; who is among the 5 % highest is compared with ranking by plain
amount and plain count. Reasons add up, so each rule's part follows from the facts of one run. The log is kept in memory.
Invariant: a share counts ties as what chance would give, never as what helps.
"""

from __future__ import annotations

import asyncio
import csv
import gzip
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.demo.generate import generate
from deploy.local.paths import project_root
from schemas.codec import decode, encode
from schemas.common import Stored, instant_ms
from schemas.security import AesGcmSealer, Keyring, Tokenizer
from schemas.security.signal_protection import protect, signal_id
from schemas.signals.assessed import AssessOutcome, Reason
from schemas.signals.submission import SignalIn, SubmittedSignal
from schemas.topics import ASSESSED, SUBMITTED, Topic
from stream_processors.agents.assess import Assess
from stream_processors.agents.base import AgentPorts
from stream_processors.domain.signals.rules import RULES
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.log import Entry, Place, Record, in_order, partition_of
from stream_processors.runtime.settings import SHIPPED_POLICY, load_policy
from stream_processors.state.store import RedisStore, connect
from stream_processors.topology import STAGES
from tests.bench.figures import AtLeast, AtMost, Figure, NotRun, Row, compare
from tests.bench.harness import Setting
from tests.bench.synthetic_fraud import DAY_S, Transfer, town

BANK = "bank-001"
SAMPLES = ("20K_fanin200", "20K_cycle200")
TOP = 0.05
POLL = 2000
GENERATED = 10_000
SEEDS = (1, 2, 3)
TARGETS = {
    "planted 1": AtLeast(2),
    "planted 2": AtLeast(2),
    "planted 3": AtLeast(2),
    "20K_fanin200": AtLeast(2),
    "20K_cycle200": AtLeast(2),
}
"""How many times as many launderers the score finds as the better of two plain rankings. Nothing here depends on the machine."""
Scores = Mapping[int, float]


class FactRow(Stored):
    """A view of the facts: what is judged here."""

    outcome: AssessOutcome
    signal_id: str | None = None
    reasons: tuple[Reason, ...] = ()


class KeptLog:
    """A log in memory that keeps the facts. It implements what assess needs of `stream_processors.runtime.log.Log`."""

    stamped_ms: int | None = None

    def __init__(self) -> None:
        self._ends: dict[str, Counter[int]] = defaultdict(Counter)
        self.facts: list[FactRow] = []
        self.generations = Generations()

    async def append(self, topic: Topic, entries: Mapping[int, Sequence[Entry]]) -> dict[int, int]:
        bases = {}
        for partition, some in entries.items():
            bases[partition] = self._ends[topic.name][partition]
            self._ends[topic.name][partition] += len(some)
            if topic is ASSESSED:
                self.facts += [decode(ASSESSED, value, FactRow).data for _, value in some]
        return bases

    async def append_keyed(self, topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        positions: dict[int, list[int]] = defaultdict(list)
        for key, _ in entries:
            partition = partition_of(key, topic.partitions)
            positions[partition].append(self._ends[topic.name][partition])
            self._ends[topic.name][partition] += 1
        return in_order(topic, entries, positions)

    async def starts(self, topic: Topic) -> dict[int, int]:
        return dict.fromkeys(range(topic.partitions), 0)

    async def ends(self, topic: Topic) -> dict[int, int]:
        return {p: self._ends[topic.name][p] for p in range(topic.partitions)}

    async def since(self, topic: Topic, at_ms: int) -> dict[int, int]:
        return await self.starts(topic)

    async def read(self, topic: Topic, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        if start < end:
            raise NotImplementedError("nothing is read back here")
        for one in list[list[Record]]():
            yield one

    async def read_ranges(self, topic: Topic, ranges: Mapping[int, tuple[int, int]]) -> AsyncIterator[list[Record]]:
        for p, (start, end) in ranges.items():
            async for records in self.read(topic, p, start, end):
                yield records

    async def read_generations(self) -> bool:
        return False

    async def count_elections(self, topics: Sequence[Topic]) -> int:
        return 0

    async def identity(self, topics: Sequence[Topic]) -> str:
        return "decisions|" + ",".join(topic.name for topic in topics)


async def assessed(redis_url: str, signals: Iterable[SubmittedSignal]) -> list[FactRow]:
    """The facts of the signals by the real stage, over an emptied Redis. `now` of each is when its event happened."""
    redis, log = connect(redis_url), KeptLog()
    await redis.flushall()
    store = RedisStore(redis, STAGES["assess"].namespace)
    await store.open()
    agent = Assess(AgentPorts(log, store, load_policy(SHIPPED_POLICY), AesGcmSealer(Keyring.generate())))
    await agent.start()
    await agent.assigned([(topic.name, p) for topic in STAGES["assess"].reads for p in range(topic.partitions)])
    offsets: Counter[int] = Counter()
    left = iter(signals)
    while some := list(islice(left, POLL)):
        batch: dict[tuple[str, int], list[Record]] = {}
        for signal in some:
            key = signal.primary.token.encode()
            p = partition_of(key, SUBMITTED.partitions)
            record = Record(p, offsets[p], instant_ms(signal.occurred_at), key, _encoded(signal))
            batch.setdefault((SUBMITTED.name, p), []).append(record)
            offsets[p] += 1
        await agent.step(batch)
    await redis.aclose()
    return log.facts


def _encoded(signal: SubmittedSignal) -> bytes:
    actor, at = f"institution:{signal.institution}", signal.occurred_at
    return encode(SUBMITTED, signal, id=signal.signal_id, source="/bench", actor=actor, time=at, subject=signal.signal_id)


def run(setting: Setting) -> list[Row]:
    """Every row of the bench."""
    keyring = Keyring.generate()
    tools = {"tokenizer": Tokenizer(keyring), "sealer": AesGcmSealer(keyring)}
    rows: list[Row] = []
    with setting.stack("decisions", services=("redis",)) as stack:
        rows += _duplicates(stack.redis_url, setting, tools)
        for seed in SEEDS:
            planted = town(seed)
            accounts = range(planted.accounts)
            rows += _ranking(f"planted {seed}", stack.redis_url, accounts, planted.launderers, planted.transfers, tools)
        for sample in SAMPLES:
            setting.said(f"decisions: {sample}")
            rows += _amlsim(sample, stack.redis_url, setting, tools)
    return rows


def _duplicates(redis_url: str, setting: Setting, tools: Mapping[str, Any]) -> list[Row]:
    """Generated signals say themselves what they are."""
    repeats, resends, false = [], [], []
    for seed in SEEDS:
        made = [one for one in generate(setting.size(GENERATED, 2000), seed=seed, start=_begin()) if one.note != "bad"]
        bodies = [SignalIn.model_validate(one.body) for one in made]
        pairs = zip(made, bodies, strict=True)
        signals = [protect(body, institution=one.institution, reference=str(body.reference), **tools) for one, body in pairs]
        outcomes: dict[str, Counter[AssessOutcome]] = defaultdict(Counter)
        for fact in asyncio.run(assessed(redis_url, signals)):
            outcomes[str(fact.signal_id)][fact.outcome] += 1
        sent = Counter((signal.signal_id, one.note) for one, signal in zip(made, signals, strict=True))
        wanted = {
            note: [(name, n) for (name, of), n in sent.items() if of == note]
            for note in ("duplicate_reference", "duplicate_content")
        }
        news = [name for name, note in sent if note in ("new", "corroboration")]
        repeats.append(
            _percent(
                sum(outcomes[name][AssessOutcome.DUPLICATE_REFERENCE] for name, _ in wanted["duplicate_reference"]),
                wanted["duplicate_reference"],
            )
        )
        resends.append(
            _percent(
                sum(outcomes[name][AssessOutcome.DUPLICATE_CONTENT] for name, _ in wanted["duplicate_content"]),
                wanted["duplicate_content"],
            )
        )
        more = sum(outcomes[name][AssessOutcome.DUPLICATE_REFERENCE] for name in news) - sum(
            n for _, n in wanted["duplicate_reference"]
        )
        false.append(more + sum(outcomes[name][AssessOutcome.DUPLICATE_CONTENT] for name in news))
    return [
        Figure("decisions", "exact repeats found", "%", repeats, AtLeast(100)),
        Figure("decisions", "re-sends found", "%", resends, AtLeast(100)),
        Figure("decisions", "news taken for a repeat or re-send", "signals", false, AtMost(0)),
    ]


def _percent(found: int, wanted: list[tuple[str, int]]) -> float:
    return 100 * found / sum(n for _, n in wanted)


def _begin() -> datetime:
    """Ahead of the clock, so that nothing which still counts at an event's time has ended by Redis' own."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


def _amlsim(sample: str, redis_url: str, setting: Setting, tools: Mapping[str, Any]) -> list[Row]:
    there = Path(os.environ.get("LIANDONG_AMLSIM") or project_root().parent / "shared" / "data" / "amlsim") / sample
    if not (there / "transactions.csv.gz").is_file():
        why = f"{there} is not there (LIANDONG_AMLSIM names another folder): only generated transfers were judged"
        return [NotRun("decisions", f"{sample}: laundering accounts in the top 5 %", why, ok=True)]
    nodes = {int(row["nodeid"]): row["isFraud"] == "1" for row in _rows(there / "nodes.csv.gz")}
    steps: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for row in _rows(there / "transactions.csv.gz"):
        parts = int(row["sourceNodeId"]), int(row["targetNodeId"]), round(float(row["value"]) * 100)
        if parts[0] != parts[1]:
            steps[int(row["time"])].append(parts)
    days = sorted(steps)[: setting.size(len(steps))]
    transfers = [
        Transfer(day * DAY_S + DAY_S * n // len(steps[day]), *parts) for day in days for n, parts in enumerate(steps[day])
    ]
    return _ranking(sample, redis_url, nodes, frozenset(node for node, bad in nodes.items() if bad), transfers, tools)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _ranking(
    what: str,
    redis_url: str,
    accounts: Collection[int],
    launderers: frozenset[int],
    transfers: Sequence[Transfer],
    tools: Mapping[str, Any],
) -> list[Row]:
    begin = _begin()
    signals = (_signal(n, one, begin, tools) for n, one in enumerate(transfers))
    facts = {fact.signal_id: fact.reasons for fact in asyncio.run(assessed(redis_url, signals))}
    reasons = [facts[signal_id(tools["tokenizer"], BANK, f"t-{n}")] for n in range(len(transfers))]
    plain: dict[str, Counter[int]] = {"plain amount": Counter(), "plain count": Counter()}
    for one in transfers:
        for end in (one.payer, one.payee):
            plain["plain amount"][end] += one.amount_minor
            plain["plain count"][end] += 1
    against = {name: share(found, accounts, launderers) for name, found in plain.items()}

    def part(rules: Collection[str]) -> float:
        return share(_worst(transfers, reasons, rules), accounts, launderers)

    name = f"{what}: laundering accounts in the top 5 %"
    found = Figure("decisions", name, "share", [part(RULES)], against=against)
    rows = compare(found, [max(against.values())], "the better of plain amount and plain count", TARGETS[what])
    for rule in RULES:
        if any(reason.rule == rule for some in reasons for reason in some):
            without = part(RULES.keys() - {rule})
            rows.append(Figure("decisions", f"{what}: by {rule} alone", "share", [part({rule})], None, {"all but it": without}))
    return rows


def _signal(n: int, one: Transfer, begin: datetime, tools: Mapping[str, Any]) -> SubmittedSignal:
    ends = {part: _end(account) for part, account in (("payer", one.payer), ("payee", one.payee))}
    amount = {"minor": one.amount_minor, "currency": "CNY"}
    body = SignalIn.model_validate(
        {
            "kind": "illegal_finance",
            "occurred_at": begin + timedelta(seconds=one.at_s),
            "region": "630202",
            "event": {"type": "transfer", **ends, "amount": amount},
        }
    )
    return protect(body, institution=BANK, reference=f"t-{n}", **tools)


def _end(account: int) -> dict[str, str]:
    return {"kind": "account", "value": f"6297{account:015d}", "role": "suspect"}


def _worst(transfers: Sequence[Transfer], reasons: Sequence[Sequence[Reason]], rules: Collection[str]) -> Scores:
    """The highest score of each account's signals by these rules alone."""
    worst: dict[int, float] = defaultdict(float)
    for one, some in zip(transfers, reasons, strict=True):
        points = min(100, sum(reason.points for reason in some if reason.rule in rules))
        for end in (one.payer, one.payee):
            worst[end] = max(worst[end], points)
    return worst


def share(scores: Scores, accounts: Collection[int], wanted: Collection[int]) -> float:
    """How many of the wanted accounts are among the `TOP` of all by score; of a tie at the edge, what chance would give."""
    groups: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    for account in accounts:
        group = groups[scores.get(account, 0)]
        group[0] += 1
        group[1] += account in wanted
    room, found = TOP * len(accounts), 0.0
    for score in sorted(groups, reverse=True):
        size, hits = groups[score]
        taken = min(1.0, room / size)
        found, room = found + hits * taken, room - size * taken
        if room <= 0:
            break
    return found / len(wanted)
