"""Whether signals can be accepted: what the log, Redis and the views say."""

from __future__ import annotations

from pydantic import BaseModel
from redis.exceptions import RedisError

from gateway.adapters.idempotency import Idempotency, StateUnavailable
from gateway.adapters.kafka import RequestLog
from stream_processors.views.api import Views
from stream_processors.views.reading import Rebuilding


class ReadyOut(BaseModel):
    """`checks` contains `ok` or the fault of each check."""

    ready: bool
    checks: dict[str, str]


class Readiness:
    """`check` asks all three. The views do not count: signals are accepted while they are rebuilt."""

    def __init__(self, log: RequestLog, memory: Idempotency, views: Views) -> None:
        self._log, self._memory, self._views = log, memory, views

    async def check(self) -> ReadyOut:
        health = self._log.health
        checks = {"kafka": health.text, "redis": "ok", "views": "ok", "log": self._log.damage or "ok"}
        try:
            await self._memory.find("probe")
        except StateUnavailable:
            checks["redis"] = "away"
        try:
            await self._views.case("probe")
        except Rebuilding:
            checks["views"] = "views-rebuilding"
        except (RedisError, StateUnavailable):
            checks["views"] = "unknown"
        return ReadyOut(ready=health.is_ready and checks["redis"] == checks["log"] == "ok", checks=checks)
