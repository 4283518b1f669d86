"""Routes of operators: liveness, readiness, metrics."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from redis.exceptions import RedisError
from starlette.responses import Response

from gateway.adapters.idempotency import StateUnavailable
from gateway.cases.responses import AliveOut, ReadyOut
from gateway.http.endpoint import Call, Endpoint
from gateway.http.responses import dumped
from gateway.security.auth import Role
from stream_processors.views.reading import Rebuilding

_OPEN: frozenset[Role] = frozenset()


async def livez(call: Call) -> Response:
    """The process responds."""
    return dumped(AliveOut())


async def readyz(call: Call) -> Response:
    """Ready to accept signals: the brokers answer, have a quorum, our topics have the copies that an acknowledgement requires,
    and no record is lost; Redis answers. Views being rebuilt are reported but do not count, because signals are accepted
    meanwhile. Neither do single unwritable partitions: the others accept writes."""
    services = call.services
    health = services.log.health
    checks = {
        "kafka": health.text,
        "redis": "ok",
        "views": "ok",
        "log": services.log.damage or "ok",
    }
    try:
        await services.memory.find("probe")
    except StateUnavailable:
        checks["redis"] = "away"
    try:
        await services.views.case("probe")
    except Rebuilding:
        checks["views"] = "views-rebuilding"
    except (RedisError, StateUnavailable):
        checks["views"] = "unknown"
    ready = health.is_ready and checks["redis"] == checks["log"] == "ok"
    readiness = ReadyOut(ready=ready, checks=checks)
    return dumped(readiness, 200 if ready else 503)


async def metrics(call: Call) -> Response:
    """Returns metrics in Prometheus text, for an operator's token or the scrape token."""
    return Response(await call.services.exporter.text(), headers={"content-type": CONTENT_TYPE_LATEST})


ENDPOINTS = [
    Endpoint("GET", "/livez", livez, _OPEN, "Alive", answers={200: AliveOut}),
    Endpoint("GET", "/readyz", readyz, _OPEN, "Check readiness", answers={200: ReadyOut, 503: ReadyOut}),
    Endpoint(
        "GET",
        "/metrics",
        metrics,
        frozenset({Role.OPERATOR}),
        "Prometheus metrics",
        scraped=True,
        answers={200: None},
        answer_media="text/plain",
    ),
]
