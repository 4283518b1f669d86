"""Counters of the gateway. stream_processors/runtime/metrics.py declares all metrics."""

from __future__ import annotations

from gateway.problems import PROBLEMS
from stream_processors.runtime.metrics import GATEWAY as METRICS

__all__ = ["METRICS", "count_problem"]


def count_problem(slug: str, status: int, n: int = 1) -> None:
    """Counts an answered problem in its metric."""
    (METRICS.unavailable if status == 503 else METRICS.refused).labels(slug).inc(n)


METRICS.prepare((kind.slug, kind.status) for kind in PROBLEMS.values())
