"""Real workers on a real Kafka and Redis of their own: a signal's way, a kill, an emptied Redis, a log that is not theirs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from deploy.local.paths import project_root
from deploy.local.stack import Stack
from schemas.security import AesGcmSealer, Keyring, Tokenizer
from schemas.security.signal_protection import protect, signal_id
from schemas.signals.retraction import FOREVER, Retraction
from schemas.topics import CASE_COMMANDS, RETRACTIONS, SUBMITTED
from stream_processors.progress import inputs, places
from stream_processors.recovery.rebuild import digest, rebuild
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from stream_processors.topology import STAGES
from stream_processors.views.api import Views
from tests.support import real
from tests.support.builders import account, action_record, body, move, phone, retraction_record, submission
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function")]
QUEUE = "public-security-630202"
WAIT_S = 40


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("pipeline")
    with Stack("pipeline", home=home, services=("kafka", "redis", "workers"), backoff_max_s=0.5, kafka_heap_mb=256) as found:
        yield found


class Client:
    """What a gateway does: protect, append, read the views."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.settings = Settings(kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url, keys_file=stack.places.keys)
        keyring = Keyring.load_or_create(stack.places.keys)
        self.tokenizer, self.sealer = Tokenizer(keyring), AesGcmSealer(keyring)
        self.log = KafkaLog(self.settings, "test")
        self.redis = Redis.from_url(stack.redis_url, protocol=2)
        self.views = Views(self.redis)

    async def send(self, institution: str, reference: str, **over: Any) -> Any:
        signal = protect(body(**over), institution=institution, reference=reference, tokenizer=self.tokenizer, sealer=self.sealer)
        await self.log.append_keyed(SUBMITTED, [submission(signal)])
        return signal

    async def retract(self, institution: str, reference: str) -> None:
        name = signal_id(self.tokenizer, institution, reference)
        one = Retraction(signal_id=name, institution=institution, below_version=FOREVER)
        await self.log.append_keyed(RETRACTIONS, [retraction_record(one)])

    async def digests(self) -> dict[str, str]:
        at, policy = int(time.time() * 1000), self.settings.policy()
        return {stage: await digest(self.stack.redis_url, stage, at, policy) for stage in STAGES}

    async def idle(self) -> bool:
        """Whether every stage has folded all of its input."""
        for stage in STAGES.values():
            folded = [(stream.topic, stream.fact_mark(0)) for stream in stage.streams]
            for topic, mark in (*inputs(stage), *folded):
                if await places(self.redis, stage.namespace, mark, topic.partitions) != await self.log.ends(topic):
                    return False
        return True


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    made = Client(stack)
    await made.log.open()
    try:
        yield made
    finally:
        await made.log.close()
        await made.redis.aclose()


async def _until(what: str, holds: Callable[[], Awaitable[Any]]) -> Any:
    return await until(what, holds, WAIT_S)


async def test_a_signal_gets_its_receipt_and_its_case_a_place_in_the_queue_and_a_holder(client: Client) -> None:
    first = await client.send("bank-001", "way-1", indicators=[account(1), phone(1)])
    second = await client.send("bank-002", "way-1", indicators=[account(1)])
    receipt = await _until("a receipt", lambda: client.views.receipt(second.signal_id))
    assert (receipt.outcome, receipt.score, receipt.queues) == ("assessed", 65, (QUEUE,))
    earlier = await client.views.receipt(first.signal_id)
    assert earlier is not None and (earlier.score, earlier.queues) == (30, ())
    case = await _until("the case", lambda: client.views.case(receipt.cases[0]))
    page = await client.views.page(QUEUE, limit=10)
    assert case.case_id in {one.case_id for one in page.cases}
    opened = client.sealer.unseal(case.primary_subject.sealed, f"{case.primary_signal_id}/{case.primary_subject.token}")
    assert opened == "6222021000000001"
    claim = move("claim", case_id=case.case_id, revision=case.revision, action_id="claim-1")
    await client.log.append_keyed(CASE_COMMANDS, [action_record(claim)])
    change = await _until("the outcome of the claim", lambda: client.views.action("claim-1"))
    assert change.outcome == "applied"

    async def held() -> bool:
        found = await client.views.case(case.case_id)
        return found is not None and found.holder == "officer-a"

    await _until("the holder in the view", held)


async def test_what_is_taken_back_and_corrected_leaves_its_case_and_its_sender_is_told(client: Client) -> None:
    """Over all partitions, and one retraction before its signal. The digests of the tests below hold for this state, too."""
    big = {"amount": {"minor": 60_000_000, "currency": "CNY"}}
    await client.retract("bank-301", "early")
    sent = {}
    for n in range(9):
        both = [(bank, {"indicators": [account(300 + n)], **big}) for bank in ("bank-301", "bank-302")]
        sent[n] = [await client.send(bank, f"back-{n}", **over) for bank, over in both]
    early = await client.send("bank-301", "early", indicators=[account(300)], **big)
    cases = [(await _until("a receipt", lambda s=two[1]: client.views.receipt(s.signal_id))).cases[0] for two in sent.values()]
    for n in range(9):
        await client.retract("bank-301", f"back-{n}")
        await client.send("bank-302", f"back-{n}", indicators=[account(300 + n)], version=2, amount={"minor": 500})

    async def settled() -> bool:
        found = [await client.views.case(name) for name in cases]
        return all(
            one and (one.signal_count, one.amount_minor, one.retracted_signal_count) == (1, {"CNY": 500}, 2) for one in found
        )

    await _until("each case with its one live signal", settled)
    for first, second in sent.values():
        gone, better = await client.views.receipt(first.signal_id), await client.views.receipt(second.signal_id)
        assert gone is not None and (gone.outcome, gone.retracted_at is None) == ("retracted", False)
        assert better is not None and (better.outcome, better.version) == ("assessed", 2)
    told = await client.views.receipt(early.signal_id)
    assert told is not None and (told.outcome, told.cases) == ("retracted", ())


async def test_killed_workers_lose_nothing_and_count_nothing_twice(client: Client, stack: Stack) -> None:
    before = (await client.views.counters()).get("assessed:bank-777", 0)
    names = ["assess-0", "track-0", "project-0", "deliver-0"]
    pids = {name: stack.pid(name) for name in names}
    sent = []
    for n in range(90):
        sent.append(await client.send("bank-777", f"kill-{n}", indicators=[account(100 + n % 9), phone(n % 5)]))
        if n % 22 == 15:
            stack.kill(names[n // 22])
    for name in names:
        await asyncio.to_thread(stack.wait_new_pid, name, pids[name])
    await _until("all signals assessed, joined and shown", client.idle)
    receipts = [await _until("a receipt", lambda one=one: client.views.receipt(one.signal_id)) for one in sent]
    assert {receipt.outcome for receipt in receipts} <= {"assessed", "duplicate_content"}
    assessed = [receipt for receipt in receipts if receipt.outcome == "assessed"]
    assert (await client.views.counters())["assessed:bank-777"] - before == len(assessed)
    for case_id in {case for receipt in assessed for case in receipt.cases}:
        case = await client.views.case(case_id)
        assert case is not None
        assert case.signal_count == sum(case_id in receipt.cases for receipt in receipts)


async def test_an_emptied_redis_is_rebuilt_to_the_same_digest(client: Client, stack: Stack) -> None:
    await _until("quiet", client.idle)
    apart = stack.redis_url.removesuffix("/0") + "/1"
    emptied = Redis.from_url(apart, protocol=2)

    async def rebuilt() -> dict[str, str]:
        """From nothing, also when asked again."""
        await emptied.flushdb()
        assert sum((await rebuild(client.settings, apart)).values()) > 0
        at, policy = int(time.time() * 1000), client.settings.policy()
        return {stage: await digest(apart, stage, at, policy) for stage in STAGES}

    before = await client.digests()
    assert await rebuilt() == before
    await client.redis.flushall()

    async def same() -> bool:
        """As before; or as the log says now, when a clock fell due in between."""
        if not await client.idle():
            return False
        found = await client.digests()
        return found == before or (found == await rebuilt() and await client.idle())

    await _until("the digests of before", same)
    await emptied.aclose()
    after = await client.send("bank-003", "after-flush", indicators=[account(1)])
    receipt = await _until("a receipt after it", lambda: client.views.receipt(after.signal_id))
    assert receipt.outcome == "assessed"
    assert receipt.queues == (QUEUE,), "the subject's case is still known"


async def _refused(stack: Stack, **env: str) -> str:
    """What a worker says that does not start."""
    common = {
        "KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "REDIS_URL": stack.redis_url,
        "LIANDONG_KEYS_FILE": str(stack.places.keys),
        "LIANDONG_HOME": str(stack.places.home),
        "LIANDONG_WORKER_ID": "assess-other",
    }
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "stream_processors.worker", "assess"],
        cwd=project_root(),
        env={**os.environ, **common, **env},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert ended.returncode == 70, ended.stderr
    return ended.stderr


async def test_a_worker_does_not_start_on_another_cluster_and_says_so(client: Client, stack: Stack, backbone: Any) -> None:
    await _until("quiet", client.idle)
    said = await _refused(stack, KAFKA_BOOTSTRAP=backbone.kafka_bootstrap)
    assert "OtherLog" in said
    assert "empty that Redis, or point REDIS_URL to another one" in said
    assert await client.idle(), "and it has touched nothing"


async def test_a_worker_does_not_start_on_another_partition_count_and_says_so(client: Client, stack: Stack) -> None:
    """The last one: it takes the topic away from the others."""
    for name in ("assess-0", "track-0", "deliver-0", "project-0"):
        await asyncio.to_thread(stack.stop_one, name, grace_s=0)
    await real.delete(stack.kafka_bootstrap, [SUBMITTED])

    async def made() -> bool:
        try:
            await real.create(stack.kafka_bootstrap, [replace(SUBMITTED, partitions=3)])
        except AssertionError:  # still being deleted
            return False
        return True

    await _until("the topic anew", made)
    assert "signals.submitted.v1: the number of partitions is 3, the topic table requires 8" in await _refused(stack)
