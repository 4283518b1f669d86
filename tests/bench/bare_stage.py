"""The baseline of a stage: a poll loop that reads, calls a script once a bucket, appends what it read, and begins again.

Asked with `ends` it works off what stands before them, `passes` times, and answers how fast; else it runs until it is killed.
`sinks`: the topics that it appends to, one after the other, each after the acknowledgement of the last. `name`: its hashes in
Redis.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import uvloop
from aiokafka import TopicPartition

from tests.bench import bare
from tests.bench.harness import answer, request

LIMIT_S = 300.0
Poll = Mapping[TopicPartition, Sequence[Any]]


class BareStage:
    """One process of the loop, with its connections."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._source, self._sinks, self._name = asked["source"], asked["sinks"], asked["name"]

    async def open(self, starts: Mapping[int, int] | None) -> None:
        await bare.make_topics(bare.bootstrap(), self._sinks)
        self._producer, self._redis = await bare.open_producer(), bare.open_redis()
        self._sha = await self._redis.script_load(bare.SCRIPT)
        self._consumer = await bare.open_consumer(self._source, starts)

    async def poll(self) -> Poll:
        polled: Poll = await self._consumer.getmany(timeout_ms=1000, max_records=bare.POLL_RECORDS)
        return polled

    async def work(self, polled: Poll) -> int:
        """The work of one poll; how many records it had."""
        records = [record for some in polled.values() for record in some]
        if records:
            await bare.note_records(self._redis, self._sha, self._name, records)
        entries = {tp.partition: [(record.key, record.value) for record in some] for tp, some in polled.items()}
        for sink in self._sinks if records else ():
            await bare.append(self._producer, sink, entries)
        return len(records)

    async def work_off(self, count: int) -> float:
        """Seconds from the first poll that brought something to the last acknowledgement."""
        deadline = time.monotonic() + LIMIT_S
        while not (polled := await self.poll()):
            pass
        began = time.perf_counter()
        total = await self.work(polled)
        while total < count:
            total += await self.work(await self.poll())
            if time.monotonic() > deadline:
                raise TimeoutError(f"{total} of {count} records after {LIMIT_S:.0f} s")
        return time.perf_counter() - began


async def main(asked: dict[str, Any]) -> None:
    stage = BareStage(asked)
    if "ends" not in asked:
        await stage.open(None)
        answer({"ready": True})
        while True:
            await stage.work(await stage.poll())
    starts, ends = ({int(p): at for p, at in asked[name].items()} for name in ("starts", "ends"))
    count, seconds = sum(end - starts[p] for p, end in ends.items()), 0.0
    for _ in range(asked["passes"]):
        await stage.open(starts)
        seconds += await stage.work_off(count)
    answer({"records": count * asked["passes"], "seconds": seconds})


if __name__ == "__main__":
    uvloop.run(main(request()))
