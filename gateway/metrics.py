"""How the gateway counts. Its metrics are declared with all others in stream_processors/runtime/metrics.py."""

from __future__ import annotations

from gateway.problems import PROBLEMS
from stream_processors.runtime.metrics import GATEWAY as METRICS

__all__ = ["METRICS", "count_problem"]


def count_problem(slug: str, status: int, n: int = 1) -> None:
    """Counts an answered problem where it belongs."""
    (METRICS.unavailable if status == 503 else METRICS.refused).labels(slug).inc(n)


METRICS.prepare((kind.slug, kind.status) for kind in PROBLEMS.values())
