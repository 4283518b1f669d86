"""Every metric of the gateway, declared once. Labels are bounded: problem slugs and route names, never parties or
subjects."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram


class _Metrics:
    def __init__(self) -> None:
        # Signals appended to the log and acknowledged, single and batch lines alike.
        self.accepted = Counter("liandong_gateway_accepted", "Signals acknowledged by the broker")
        # Signals or requests refused, by problem slug (gateway/problems.py).
        self.refused = Counter("liandong_gateway_refused", "Requests and batch lines refused", ["reason"])
        # Signals answered with the receipt of an earlier request.
        self.replayed = Counter("liandong_gateway_replayed", "Signals answered from an idempotency record")
        # Answers 503 and batch lines of status 503, by problem slug.
        self.unavailable = Counter("liandong_gateway_unavailable", "Requests and batch lines answered 503", ["reason"])
        # Officers' actions by what became of them: applied, refused, pending.
        self.actions = Counter("liandong_gateway_actions", "Officers' actions", ["outcome"])
        # Producers thrown away after a failed append.
        self.producers_discarded = Counter("liandong_gateway_producers_discarded", "Kafka producers replaced after a failure")
        # Records in signals.submitted.v1 that assess has not folded; -1 while it is not known.
        self.lag = Gauge("liandong_gateway_submitted_lag", "Submitted records not yet assessed")
        # From the first byte of a request to the last of its answer, by route name.
        self.request_s = Histogram(
            "liandong_gateway_request_seconds",
            "Duration of a request",
            ["route"],
            buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )


METRICS = _Metrics()


def count_problem(slug: str, status: int, n: int = 1) -> None:
    """Counts an answered problem where it belongs."""
    (METRICS.unavailable if status == 503 else METRICS.refused).labels(slug).inc(n)
