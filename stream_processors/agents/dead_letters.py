"""Dead letters: unreadable records with the reason and their origin; the bytes are sealed, because they may name people.

Written before the fact that reports them: after a kill in between they are written again with the same origin, as redeliveries.
"""

from __future__ import annotations

from datetime import datetime

from schemas.codec import encode
from schemas.common import from_ms
from schemas.envelope import Origin
from schemas.security import Sealer
from schemas.signals.assessed import DeadLetter
from schemas.topics import DEADLETTER, Topic
from stream_processors.runtime.log import Log, Record

KEPT_BYTES, KEPT_KEY_BYTES = 64 * 1024, 1024
"""Sealed and escaped, this stays well below the largest size of a record."""


class DeadLetters:
    """`add` while a poll is decided, `flush` before its facts are appended."""

    def __init__(self, stage: str, log: Log, sealer: Sealer) -> None:
        self._stage, self._log, self._sealer = stage, log, sealer
        self._waiting: list[tuple[bytes, bytes]] = []
        self.total = 0

    def add(self, topic: Topic, record: Record, reason: str) -> None:
        origin = Origin(topic.name, record.partition, record.offset)
        raw = record.value or b""
        letter = DeadLetter(
            stage=self._stage,
            reason=reason,
            topic=topic.name,
            partition=record.partition,
            offset=record.offset,
            key_sealed=self._seal_text(record.key[:KEPT_KEY_BYTES], origin) if record.key else None,
            value_sealed=self._seal_text(raw[:KEPT_BYTES], origin),
            truncated=len(raw) > KEPT_BYTES,
        )
        self._waiting.append((str(origin).encode(), self._encode_letter(letter, origin, from_ms(record.timestamp_ms))))

    def _seal_text(self, raw: bytes, origin: Origin) -> str:
        return self._sealer.seal(raw.decode("utf-8", "backslashreplace"), f"deadletter/{origin}")

    def _encode_letter(self, letter: DeadLetter, origin: Origin, at: datetime) -> bytes:
        return encode(
            DEADLETTER,
            letter,
            id=f"dead-{origin}",
            source=f"/{self._stage}",
            actor=f"stage:{self._stage}",
            time=at,
            origin=origin,
        )

    async def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            await self._log.append_keyed(DEADLETTER, waiting)
            self.total += len(waiting)
