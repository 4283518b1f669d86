"""Poison records: bytes that are no record, records that are not what they say, keys that do not fit."""

from __future__ import annotations

import json
import random

from aiokafka import AIOKafkaProducer

from schemas.topics import TOPICS, Topic


def records(topic: Topic, rng: random.Random) -> list[tuple[bytes | None, bytes | None]]:
    """What an attacker, a wrong client or a broken disk might leave in this topic."""
    whole = {
        "specversion": "1.0",
        "id": "x",
        "source": "/nobody",
        "type": topic.type,
        "time": "2026-01-01T00:00:00Z",
        "actor": "institution:nobody",
        "origin": "signals.submitted.v1/0/99999999999999999999999/0",
        "data": {},
    }
    huge = {
        **whole,
        "data": {"signal_id": "x" * 1000, "amount_minor": 10**40, "subjects": [], "occurred_at": "9999-12-31T23:59:59Z"},
    }
    return [
        (b"k", None),
        (None, b""),
        (b"k", rng.randbytes(64)),
        (b"\xff\xfe", b"{"),
        (b"k", b"[" * 5000),
        (b"k", b'{"data": NaN}'),
        (b"k", json.dumps(whole).encode()),
        (b"k", json.dumps(huge).encode()),
        (b"k", json.dumps({**whole, "type": "cn.liandong.other.v9"}).encode()),
        (b"k", json.dumps({**whole, "origin": "a/b/c/d"}).encode()),
    ]


async def pour(bootstrap: str, seed: int) -> int:
    rng = random.Random(seed)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    n = 0
    try:
        for topic in TOPICS.values():
            for key, value in records(topic, rng):
                await producer.send_and_wait(topic.name, value, key=key, partition=rng.randrange(topic.partitions))
                n += 1
    finally:
        await producer.stop()
    return n
