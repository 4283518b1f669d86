"""Delivery over real processes, a real broker and Redis: to the institution by poll and live, with proof; SIGKILL at each crash
point of deliver; an emptied Redis.

The changes that ask for notices are appended as `track` would; it does not run here, so nobody else writes facts of cases.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from deploy.local.stack import Stack
from deploy.local.tokens import mint
from deploy.verify.run import settings_of
from schemas.cases.case import CaseChange
from schemas.codec import encode
from schemas.envelope import Origin
from schemas.security import AesGcmSealer, Keyring
from schemas.signals.subjects import Subject
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, DELIVERIES, NOTIFICATIONS
from stream_processors.progress import inputs, places
from stream_processors.recovery.rebuild import rebuild, snapshot
from stream_processors.runtime.crash_points import POINTS
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.log import partition_of
from stream_processors.topology import STAGES
from tests.support.deliveries import change, follow, notice, ordered
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function")]
WAIT_S = 40
BANKS = ("bank-001", "bank-002", "bank-003")
ACTION_OFFSETS = itertools.count()
CRASHES = [name for name in POINTS if name.startswith("deliver.")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("delivery")
    env = {"LIANDONG_LIVE_HEARTBEAT_S": "1"}
    with Stack("delivery", home=home, env=env, workers={"track": 0}, backoff_max_s=0.5, kafka_heap_mb=256) as found:
        yield found


class Track:
    """Writes changes of cases, as the stage does."""

    def __init__(self, stack: Stack) -> None:
        self.settings = settings_of(stack)
        self.log = KafkaLog(self.settings, "test")
        self.redis = Redis.from_url(stack.redis_url, protocol=2)
        self.number = itertools.count(int(time.time()))

    async def write(self, one: CaseChange) -> None:
        partition = partition_of((one.case_id or "").encode(), CASE_CHANGES.partitions)
        source = Origin(CASE_COMMANDS.name, partition, next(ACTION_OFFSETS))
        value = encode(
            CASE_CHANGES,
            one,
            id=f"changed-{source}",
            source="/track",
            actor=one.actor,
            time=one.at,
            origin=source,
            subject=one.case_id,
        )
        await self.log.append(CASE_CHANGES, {partition: [((one.case_id or "").encode(), value)]})

    async def notices(self, count: int, name: str) -> dict[str, list[str]]:
        """So many changes with notices to all banks and a request about another case; their ids by bank."""
        wanted: dict[str, list[str]] = {bank: [] for bank in BANKS}
        for n in range(count):
            now, case_id = datetime.now(UTC), f"case-{name}-{n % 5}"
            told = []
            for bank in BANKS[: 1 + n % 3]:
                told.append(notice(0, bank, now, notification_id=f"{name}-{n}/{case_id}/{bank}", case_id=case_id))
                wanted[bank].append(told[-1].notification_id)
            asked = (follow(next(self.number), f"case-{name}-x"),) * (n % 2)
            one = change(n, tuple(told), asked, case_id=case_id)
            await self.write(one.model_copy(update={"at": now, "action_id": f"{name}-{n}"}))
        return wanted

    async def idle(self) -> bool:
        for name in ("deliver", "project"):
            for topic, prefix in inputs(STAGES[name]):
                at = await places(self.redis, STAGES[name].namespace, prefix, topic.partitions)
                if at != await self.log.ends(topic):
                    return False
        return True


@pytest.fixture
async def track(stack: Stack) -> AsyncIterator[Track]:
    made = Track(stack)
    await made.log.open()
    yield made
    await made.log.close()
    await made.redis.aclose()


def token(stack: Stack, subject: str, **claims: Any) -> dict[str, str]:
    return {"authorization": "Bearer " + mint(subject, home=Path(stack.places.home), profile=stack.profile, **claims)}


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stack.gateway_url, timeout=WAIT_S) as found:
        yield found


class Bank:
    """A recipient that reads its whole inbox by long poll, and listens."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient, name: str) -> None:
        self.name, self._client, self._headers = name, client, token(stack, name)
        self.after: str | None = None
        self.ids: list[str] = []

    async def ask(self, wait_s: float = 0) -> dict[str, Any]:
        query = {"limit": "200", "wait_s": str(wait_s), **({"after": self.after} if self.after else {})}
        answer = await self._client.get("/v1/inbox", params=query, headers=self._headers)
        while answer.status_code == 503:
            await asyncio.sleep(0.2)
            answer = await self._client.get("/v1/inbox", params=query, headers=self._headers)
        assert answer.status_code == 200, answer.text
        told = dict(answer.json())
        self.after = told.get("next_cursor")
        self.ids += [one["notification_id"] for one in told["items"]]
        return told

    async def has(self, wanted: list[str]) -> bool:
        await self.ask()
        return set(wanted) <= set(self.ids)

    async def listen(self, last_id: str | None = None) -> AsyncIterator[tuple[str | None, dict[str, Any], float]]:
        headers = {**self._headers, **({"last-event-id": last_id} if last_id else {})}
        async with self._client.stream("GET", "/v1/inbox/stream", headers=headers) as answer:
            assert answer.status_code == 200
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields.get("event") == "notice":
                    yield fields.get("id"), json.loads(fields["data"]), time.time()
                    fields = {}


def an_order(stack: Stack, order_id: str, case_id: str) -> CaseChange:
    """An officer's order to bank-001, sealed with the system's own keys."""
    sealer, now = AesGcmSealer(Keyring.load_or_create(stack.places.keys)), datetime.now(UTC)
    whole = ordered(0, order_id)
    subject = Subject(kind="account", role="suspect", token="k1.a", sealed=sealer.seal("6222021000000001", f"{order_id}/k1.a"))
    assert whole.case is not None
    (order,), (told,) = whole.case.orders, whole.notifications
    order = order.model_copy(update={"subject": subject, "case_id": case_id})
    told = told.model_copy(update={"subject": subject, "case_id": case_id, "at": now})
    case = whole.case.model_copy(update={"case_id": case_id, "orders": (order,)})
    return whole.model_copy(update={"case": case, "case_id": case_id, "notifications": (told,), "at": now})


def without_marks(found: dict[str, str]) -> dict[str, str]:
    return {key: text for key, text in found.items() if not key.endswith("}m")}


async def test_an_order_reaches_the_bank_live_and_by_poll_and_its_officers_see_the_proof(
    stack: Stack, client: httpx.AsyncClient, track: Track
):
    bank, case_id = Bank(stack, client, "bank-001"), "case-order"
    heard: list[Any] = []

    async def listening() -> None:
        async for one in bank.listen():
            heard.append(one)

    task = asyncio.create_task(listening())
    waiting = asyncio.create_task(bank.ask(wait_s=20))
    await asyncio.sleep(0.5)
    began = time.time()
    await track.write(an_order(stack, "ord-live", case_id))
    (item,) = (await waiting)["items"]
    assert time.time() - began < 15, "before its time was over"
    assert item["order"]["subject"]["value"] == "6222021000000001"
    assert item["en"].startswith("carry out this order")

    async def came() -> list[Any]:
        return heard

    ((cursor, live, _),) = await until("the event", came, WAIT_S)
    assert (live["notification_id"], cursor) == (item["notification_id"], item["cursor"])

    async def proof(state: str) -> bool:
        answer = await client.get("/v1/deliveries", params={"case": case_id}, headers=token(stack, "officer-1"))
        assert answer.status_code == 200, answer.text
        (told,) = answer.json()["deliveries"]
        return (told["recipient"], told["order_id"], told["delivery"]["state"]) == ("bank-001", "ord-live", state)

    await until("sent", lambda: proof("sent"), WAIT_S)
    assert (await bank.ask())["items"] == []
    await until("received", lambda: proof("received"), WAIT_S)
    where = f"/v1/inbox/{item['notification_id']}/acknowledge"
    answer = await client.post(where, headers=token(stack, "bank-001"))
    assert answer.json()["delivery"]["state"] == "acknowledged"
    await until("acknowledged", lambda: proof("acknowledged"), WAIT_S)
    assert (await client.post(where, headers=token(stack, "bank-002"))).status_code == 404
    await client.post(f"/v1/inbox/{item['notification_id']}/redeliver", headers=token(stack, "bank-001"))

    async def again() -> bool:
        return len(heard) == 2

    await until("once more", again, WAIT_S)
    assert (heard[1][0], heard[1][1]["notification_id"]) == (None, item["notification_id"])
    task.cancel()
    await asyncio.wait((task,))


@pytest.mark.parametrize("point", CRASHES)
async def test_a_kill_at_any_point_loses_no_notice_and_delivers_none_twice(
    stack: Stack, client: httpx.AsyncClient, track: Track, tmp_path: Path, point: str
):
    name, latch = point.replace(".", "-"), tmp_path / "hit"
    before = await track.notices(10, f"{name}-before")
    await asyncio.to_thread(stack.stop_one, "deliver-0", grace_s=0)
    wanted = await track.notices(20, name)
    crash = {"LIANDONG_CRASH": f"{point}@1@{latch}"}
    await asyncio.to_thread(stack.start_one, "deliver-0", env=crash, wait=False)

    async def hit() -> bool:
        return latch.exists()

    await until(f"{point} is hit", hit, WAIT_S)
    after = await track.notices(10, f"{name}-after")
    await until("all delivered", track.idle, WAIT_S)
    for who in BANKS:
        bank = Bank(stack, client, who)
        own = [*before[who], *wanted[who], *after[who]]
        await until("all in the inbox", lambda bank=bank, own=own: bank.has(own), WAIT_S)
        assert len(bank.ids) == len(set(bank.ids)), "none twice"


async def test_an_emptied_redis_gives_the_same_inboxes_and_delivers_nothing_again(
    stack: Stack, client: httpx.AsyncClient, track: Track
):
    wanted = await track.notices(30, "flush")
    await until("all delivered", track.idle, WAIT_S)
    bank = Bank(stack, client, "bank-001")
    await until("all in the inbox", lambda: bank.has(wanted["bank-001"]), WAIT_S)
    await bank.ask()  # what came counts as received
    await until("the marks are folded", track.idle, WAIT_S)
    at, policy = int(time.time() * 1000), track.settings.policy()
    lived = await snapshot(stack.redis_url, "project", at, policy)
    apart = stack.redis_url.removesuffix("/0") + "/1"
    await rebuild(track.settings, apart, ["project"])
    afresh = await snapshot(apart, "project", at, policy)
    assert {key for key in lived.keys() | afresh.keys() if lived.get(key) != afresh.get(key)} == set()
    assert any("}y=" in key for key in lived), "what was received is among it"
    inboxes = without_marks(lived)
    written = sum((await track.log.ends(NOTIFICATIONS)).values())
    await track.redis.flushall()

    async def back() -> bool:
        """Echoes of the last poll move marks, and nothing else."""
        return await track.idle() and without_marks(await snapshot(stack.redis_url, "project", at, policy)) == inboxes

    await until("the same again", back, WAIT_S)
    again = Bank(stack, client, "bank-001")
    again.after = bank.after
    assert (await again.ask())["items"] == [], "a cursor outlives the Redis that it was given from"
    assert sum((await track.log.ends(NOTIFICATIONS)).values()) - written <= written, (
        "echoes of the last poll, which may have held all"
    )
    more = await track.notices(3, "flushed")
    await until("and it goes on", lambda: again.has(more["bank-001"]), WAIT_S)
    assert sum((await track.log.ends(DELIVERIES)).values()) > 0
