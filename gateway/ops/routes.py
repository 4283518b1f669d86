"""Routes of operators: liveness, readiness, metrics."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.responses import dumped
from gateway.http.roles import EVERYBODY, OPERATORS
from gateway.ops.exporter import Exporter
from gateway.ops.readiness import Readiness, ReadyOut


class AliveOut(BaseModel):
    """The process responds."""

    status: str = "alive"


async def livez(call: Call) -> Response:
    """The process responds."""
    return dumped(AliveOut())


async def readyz(call: Call) -> Response:
    """Ready to accept signals: the brokers answer, have a quorum, our topics have the copies that an acknowledgement requires,
    and no record is lost; Redis answers. Views being rebuilt are reported but do not count, because signals are accepted
    meanwhile. Neither do single unwritable partitions: the others accept writes."""
    readiness = await call.find_service(Readiness).check()
    return dumped(readiness, 200 if readiness.ready else 503)


async def metrics(call: Call) -> Response:
    """Returns metrics in Prometheus text, for an operator's token or the scrape token."""
    return Response(await call.find_service(Exporter).text(), headers={"content-type": CONTENT_TYPE_LATEST})


ENDPOINTS = [
    Endpoint("GET", "/livez", livez, EVERYBODY, "Alive", answer=AliveOut),
    Endpoint("GET", "/readyz", readyz, EVERYBODY, "Check readiness", answer=ReadyOut, responses={503: ReadyOut}),
    Endpoint(
        "GET", "/metrics", metrics, OPERATORS, "Prometheus metrics", scraped=True, responses={200: None}, media="text/plain"
    ),
]
