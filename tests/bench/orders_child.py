"""One run of the orders bench: institutions listen live, officers order at a steady rate, signals come beside; then what each
heard is compared with the log's own times.

The orders are officers' actions, as the gateway appends them; where the stage does not decide orders, the notices are appended as
`deliver` writes them, and the figure's note says so. Invariant: an order that its institution never heard of fails the bench.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop

from deploy.demo.generate import generate
from schemas.cases.case import Action, ActionKind, CaseChange
from schemas.codec import decode, encode
from schemas.envelope import Origin
from schemas.notifications.delivery import Issued, Settled
from schemas.orders.kinds import OrderKind
from schemas.orders.order import OrderDraft, OrderEvent, OrderEventKind
from schemas.policy import Policy
from schemas.security import AesGcmSealer
from schemas.signals.subjects import Subject
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS, Topic
from stream_processors.domain.orders import order_book as orders
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from tests.bench.harness import answer, request
from tests.bench.http_load import FRESH, Connection, singles, token_of
from tests.bench.latency_child import measure_chain
from tests.bench.preload import cases

OFFICER = "officer-bench"
CASES, CONNECTIONS, SETTLES_S, PATIENCE_S = 500, 16, 3.0, 60.0


class Institution:
    """One live connection: when which order came."""

    def __init__(self, url: str, token: str) -> None:
        self._where, self._token = urlsplit(url), token
        self.ready = asyncio.Event()
        self.heard: dict[str, float] = {}

    async def listen(self) -> None:
        reader, writer = await asyncio.open_connection(self._where.hostname, self._where.port, limit=8 << 20)
        head = f"GET /v1/inbox/stream HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self._token}\r\n\r\n"
        writer.write(head.encode())
        if b" 200 " not in await reader.readline():
            raise RuntimeError((await reader.read(1000)).decode("utf-8", "replace"))
        self.ready.set()
        while line := await reader.readline():
            if line.startswith(b"data: "):
                now = time.time() * 1000
                said = orjson.loads(line[6:])
                if (order := said.get("order")) is not None:
                    self.heard.setdefault(order["order_id"], now)


class Desk:
    """Makes orders to suspend a number, each of another case, sealed as the gateway does."""

    def __init__(self, settings: Settings, policy: Policy, found: list[tuple[str, str]], asked: dict[str, Any]) -> None:
        self._sealer, self._rules = AesGcmSealer(settings.keyring()), policy.orders
        self._cases, self._asked = found, asked

    def event(self, n: int) -> tuple[str, str, OrderEvent]:
        case_id, queue = self._cases[n % len(self._cases)]
        name = f"ord-{self._asked['number']}-{n}"
        sealed = self._sealer.seal(f"138{n:08d}", f"{name}/k1.phone-{n}")
        draft = OrderDraft(
            order_id=name,
            kind=OrderKind.SUSPEND_NUMBER,
            case_id=case_id,
            agency=queue,
            recipient=f"bank-{n % self._asked['institutions']:03d}",
            subject=Subject(kind="phone", role="suspect", token=f"k1.phone-{n}", sealed=sealed),
        )
        return case_id, queue, OrderEvent(event_id=f"act-{name}", order_id=name, kind=OrderEventKind.ISSUE, draft=draft)

    def action(self, n: int) -> tuple[bytes, bytes]:
        case_id, queue, event = self.event(n)
        action = Action(
            action_id=event.event_id, case_id=case_id, kind=ActionKind.ORDER, queue=queue, officer=OFFICER, order=event
        )
        now, actor = datetime.now(UTC), f"officer:{OFFICER}"
        value = encode(CASE_COMMANDS, action, id=action.action_id, source="/gateway", actor=actor, time=now, subject=case_id)
        return case_id.encode(), value

    def claims(self) -> list[tuple[bytes, bytes]]:
        """The officer takes the cases: only who holds one orders in it."""
        found = []
        for case_id, queue in self._cases:
            name = f"claim-{self._asked['number']}-{case_id}"
            action = Action(action_id=name, case_id=case_id, kind=ActionKind.CLAIM, queue=queue, officer=OFFICER)
            now, actor = datetime.now(UTC), f"officer:{OFFICER}"
            value = encode(CASE_COMMANDS, action, id=name, source="/gateway", actor=actor, time=now, subject=case_id)
            found.append((case_id.encode(), value))
        return found

    def issued(self, n: int) -> tuple[bytes, bytes]:
        """What `deliver` would write of it."""
        _, _, event = self.event(n)
        now = datetime.now(UTC)
        given: dict[str, Any] = {"orders": (), "event": event, "actor": f"officer:{OFFICER}", "rules": self._rules}
        change = orders.decide(**given, now=now, ends=lambda at, _: at + timedelta(hours=2))
        notice = next(one for one in change.notices if one.kind == "order")
        order = change.orders[0]
        one = Issued(notification=notice, order=order, progress=Settled(change_offset=0, action_offset=0))
        origin = Origin(CASE_CHANGES.name, self._asked["number"] % CASE_CHANGES.partitions, (1 << 32) + n)
        value = encode(NOTIFICATIONS, one, id=f"bench-{n}", source="/deliver", actor="stage:deliver", time=now, origin=origin)
        return notice.recipient.encode(), value


async def decided(log: KafkaLog, desk: Desk) -> bool:
    """Whether the stage decides orders: the officer claims the cases, one order is tried, and what became of it is looked for."""
    since = await log.ends(CASE_CHANGES)
    claims = desk.claims()
    await log.append_keyed(CASE_COMMANDS, claims)
    await became(log, since, ActionKind.CLAIM, len(claims))
    since = await log.ends(CASE_CHANGES)
    await log.append_keyed(CASE_COMMANDS, [desk.action(10**7)])
    return bool((await became(log, since, ActionKind.ORDER, 1))[0].notifications)


async def became(log: KafkaLog, since: dict[int, int], kind: ActionKind, count: int) -> list[CaseChange]:
    """So many changes of the kind, once they are there. TimeoutError when they do not come."""
    at, found = dict(since), list[CaseChange]()
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"track says nothing of {count - len(found)} of {count} {kind.value}s")
        for partition, end in (await log.ends(CASE_CHANGES)).items():
            async for records in log.read(CASE_CHANGES, partition, at[partition], end):
                at[partition] = records[-1].offset + 1
                found += [change for record in records if (change := decode(CASE_CHANGES, record.value).data).kind is kind]
        await asyncio.sleep(0.1)
    return found


async def send_orders(log: KafkaLog, desk: Desk, real: bool, asked: dict[str, Any]) -> None:
    began = time.perf_counter()
    for n in range(asked["orders"] * asked["seconds"]):
        await asyncio.sleep(max(0.0, began + n / asked["orders"] - time.perf_counter()))
        await log.append_keyed(CASE_COMMANDS if real else NOTIFICATIONS, [desk.action(n) if real else desk.issued(n)])


async def send_signals(messages: list[bytes], asked: dict[str, Any]) -> float:
    """Signals a second that were accepted, at a steady rate."""
    idle = deque([await Connection(asked["url"]).open() for _ in range(CONNECTIONS)])
    sending: list[asyncio.Task[None]] = []

    async def one(message: bytes) -> None:
        connection = idle.popleft() if idle else await Connection(asked["url"]).open()
        status, said = await connection.ask(message)
        idle.append(connection)
        if status not in (200, 202):
            raise RuntimeError(f"{status}: {said[:300]!r}")

    began = time.perf_counter()
    for n, message in enumerate(messages):
        await asyncio.sleep(max(0.0, began + n / asked["signals"] - time.perf_counter()))
        sending.append(asyncio.create_task(one(message)))
    await asyncio.gather(*sending)
    return len(messages) / (time.perf_counter() - began)


async def appended(log: KafkaLog, topic: Topic, since: dict[int, int]) -> dict[str, int]:
    """Order and LogAppendTime of every record that orders something since."""
    found: dict[str, int] = {}
    for partition, end in (await log.ends(topic)).items():
        async for records in log.read(topic, partition, since[partition], end):
            for record in records:
                name = _ordered(decode(topic, record.value).data)
                if name is not None:
                    found.setdefault(name, record.timestamp_ms)
    return found


def _ordered(data: Any) -> str | None:
    if isinstance(data, Issued):
        return data.order.order_id if data.order is not None and data.notification.kind == "order" else None
    return data.order.order_id if data.kind is ActionKind.ORDER and data.order is not None else None


def delays(name: str, since: dict[str, int], heard: dict[str, float]) -> dict[str, float]:
    took = sorted(heard[order] - at for order, at in since.items())
    return {f"{name} p50": took[len(took) // 2], f"{name} p99": took[min(len(took) - 1, len(took) * 99 // 100)]}


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    settings = Settings()
    log = KafkaLog(settings, "liandong-bench-orders")
    await log.open()
    known = [(one.case_id, one.queue) async for one in cases(log)][:CASES]
    desk = Desk(settings, settings.policy(), known, asked)
    real = await decided(log, desk)
    token = token_of(str(settings.home), settings.profile)
    parties = [Institution(asked["url"], token(f"bank-{n:03d}")) for n in range(asked["institutions"])]
    listening = [asyncio.create_task(one.listen()) for one in parties]
    await asyncio.wait_for(asyncio.gather(*(one.ready.wait() for one in parties)), 60)
    planned = generate(2 * asked["signals"] * asked["seconds"], seed=asked["number"], run=f"orders{asked['number']}", mix=FRESH)
    half = asked["signals"] * asked["seconds"]
    messages = singles(list(islice(planned, 2 * half)), token)
    await asyncio.sleep(1)
    since = {topic.name: await log.ends(topic) for topic in (NOTIFICATIONS, CASE_COMMANDS)}
    rate, _ = await asyncio.gather(send_signals(messages[:half], asked), send_orders(log, desk, real, asked))
    await asyncio.sleep(SETTLES_S)
    heard = {order: at for one in parties for order, at in one.heard.items()}
    wanted = {f"ord-{asked['number']}-{n}" for n in range(asked["orders"] * asked["seconds"])}
    if missing := wanted - heard.keys():
        raise RuntimeError(f"{len(missing)} of {len(wanted)} orders never came")
    times = {topic: await appended(log, topic, since[topic.name]) for topic in (NOTIFICATIONS, CASE_COMMANDS)}
    await log.close()
    for task in listening:
        task.cancel()
    hop = {**asked["hop"], "rate": asked["orders"], "count": asked["orders"] * asked["seconds"], "seed": asked["number"]}
    _, bare_times = await asyncio.gather(send_signals(messages[half:], asked), measure_chain(hop))
    told: dict[str, Any] = {f"bare {name}": value for name, value in bare_times.items()}
    told |= {"signals": rate, "how": "officers' actions" if real else "notices as deliver writes them"}
    told |= delays("issued", {order: at for order, at in times[NOTIFICATIONS].items() if order in wanted}, heard)
    if real:
        told |= delays("asked", {order: at for order, at in times[CASE_COMMANDS].items() if order in wanted}, heard)
    return told


if __name__ == "__main__":
    answer(uvloop.run(main(request())))
