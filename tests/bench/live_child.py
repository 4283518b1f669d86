"""One run of the live bench: opens the connections, moves cases at a steady rate, then compares receipts with the log's times.

Invariant: a change that a client never heard of fails the bench.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop

from schemas.cases.case import Action, ActionKind
from schemas.codec import decode, encode
from schemas.topics import CASE_CHANGES, CASE_COMMANDS
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from tests.bench import bare
from tests.bench.harness import answer, request
from tests.bench.http_load import token_of
from tests.bench.preload import cases

CASES = 400
SETTLES_S = 5.0


class Client:
    """One connection: when which revision of a case came."""

    def __init__(self, url: str, token: str) -> None:
        self._where, self._token = urlsplit(url), token
        self.ready = asyncio.Event()
        self.heard: dict[str, list[tuple[int, float]]] = {}
        self.updates: list[float] = []

    async def listen(self) -> None:
        reader, writer = await asyncio.open_connection(self._where.hostname, self._where.port, limit=8 << 20)
        head = f"GET /v1/queues/events HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {self._token}\r\n\r\n"
        writer.write(head.encode())
        if b" 200 " not in await reader.readline():
            raise RuntimeError((await reader.read(1000)).decode("utf-8", "replace"))
        kind = b""
        while line := await reader.readline():
            if line.startswith(b"event: "):
                kind = line[7:].strip()
            elif line.startswith(b"data: "):
                self._hear(kind, line[6:])

    def _hear(self, kind: bytes, data: bytes) -> None:
        now = time.time() * 1000
        if kind != b"counts":  # these come with the others
            self.updates.append(now)
        if kind == b"reset":
            self.ready.set()
        elif kind == b"cases":
            for case in orjson.loads(data)["cases"]:
                self.heard.setdefault(case["case_id"], []).append((case["revision"], now))


async def move(log: KafkaLog, found: list[tuple[str, str]], asked: dict[str, Any]) -> None:
    """Claims and releases, in turn, over all cases."""
    began = time.perf_counter()
    for n in range(asked["rate"] * asked["seconds"]):
        await asyncio.sleep(max(0.0, began + n / asked["rate"] - time.perf_counter()))
        case_id, queue = found[n % len(found)]
        kind = (ActionKind.CLAIM, ActionKind.RELEASE)[(n // len(found)) % 2]
        name = f"live-{asked['number']}-{n}"
        action = Action.trusted(action_id=name, case_id=case_id, kind=kind, queue=queue, officer="officer-bench")
        value = encode(
            CASE_COMMANDS,
            action,
            id=name,
            source="/gateway",
            actor="officer:officer-bench",
            time=datetime.now(UTC),
            subject=case_id,
        )
        await log.append_keyed(CASE_COMMANDS, [(case_id.encode(), value)])


async def changes(log: KafkaLog, since: dict[int, int]) -> list[tuple[str, int, int]]:
    """Case, revision and LogAppendTime of every applied change since."""
    told = []
    for partition, end in (await log.ends(CASE_CHANGES)).items():
        async for records in log.read(CASE_CHANGES, partition, since[partition], end):
            for record in records:
                case = decode(CASE_CHANGES, record.value).data.case
                if case is not None:
                    told.append((case.case_id, case.revision, record.timestamp_ms))
    return told


def delays(client: Client, appended: list[tuple[str, int, int]]) -> list[float]:
    """Milliseconds until this client knew of each change, by its revision or a newer one."""
    told = []
    for name, revision, at_ms in appended:
        later = [at for seen, at in client.heard.get(name, ()) if seen >= revision]
        if not later:
            raise RuntimeError(f"{name} at {revision} never came")
        told.append(later[0] - at_ms)
    return told


async def main(asked: dict[str, Any]) -> dict[str, float]:
    settings = Settings()
    log = KafkaLog(settings, "liandong-bench-live")
    await log.open()
    found = [(one.case_id, one.queue) async for one in cases(log)][:CASES]
    token = token_of(str(settings.home), settings.profile)
    clients = [Client(asked["url"], token(f"officer-{n:03d}")) for n in range(asked["clients"])]
    listening = [asyncio.create_task(client.listen()) for client in clients]
    await asyncio.wait_for(asyncio.gather(*(client.ready.wait() for client in clients)), 60)
    since = await log.ends(CASE_CHANGES)
    await move(log, found, asked)
    count = asked["rate"] * asked["seconds"]
    await asyncio.sleep(SETTLES_S)
    appended = await changes(log, since)
    await log.close()
    if len(appended) != count:
        raise RuntimeError(f"{len(appended)} of {count} moves were applied")
    for task in listening:
        if task.done():
            task.result()
        task.cancel()
    took = sorted(one for client in clients for one in delays(client, appended))
    rate = max(len(one.updates) / ((one.updates[-1] - one.updates[0]) / 1000) for one in clients)
    return {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100], "most": took[-1], "rate": rate}


class BareClient:
    """A connection to the bare fan-out: when which key came."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.heard: dict[str, float] = {}

    async def listen(self, port: int) -> None:
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        while line := await reader.readline():
            if line == b"ready\n":
                self.ready.set()
            else:
                self.heard.setdefault(line.decode().strip(), time.time() * 1000)


async def measure_fanout(asked: dict[str, Any]) -> dict[str, float]:
    """The baseline: as many records, at the same rate, to as many connections of a bare fan-out."""
    producer, clients = await bare.open_producer(), [BareClient() for _ in range(asked["clients"])]
    listening = [asyncio.create_task(client.listen(asked["port"])) for client in clients]
    await asyncio.wait_for(asyncio.gather(*(client.ready.wait() for client in clients)), 60)
    sent: dict[str, int] = {}
    began = time.perf_counter()
    for n in range(asked["rate"] * asked["seconds"]):
        await asyncio.sleep(max(0.0, began + n / asked["rate"] - time.perf_counter()))
        name = f"bare-{asked['number']}-{n}"
        sent[name] = (await producer.send_and_wait(asked["topic"], b"change", key=name.encode())).timestamp
    await asyncio.sleep(SETTLES_S)
    await producer.stop()
    for task in listening:
        task.cancel()
    took = sorted(client.heard[name] - at_ms for client in clients for name, at_ms in sent.items())
    return {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}


if __name__ == "__main__":
    wanted = request()
    answer(uvloop.run((measure_fanout if "port" in wanted else main)(wanted)))
