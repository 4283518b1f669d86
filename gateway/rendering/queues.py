"""Response models of queues."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydantic import BaseModel

from stream_processors.views.cases import Standing


class QueueOut(BaseModel):
    """`severities`: cases by severity, without those that have none."""

    queue: str
    depth: int
    severities: dict[str, int]


class QueuesOut(BaseModel):
    queues: list[QueueOut]


def by_queue(standings: Iterable[Standing], mine: Callable[[str], bool]) -> list[QueueOut]:
    """Returns every queue that `mine` permits and that ever had a case, by name."""
    by_severity: dict[str, dict[str, int]] = {}
    for queue_standing in standings:
        if mine(queue_standing.queue):
            severities = by_severity.setdefault(queue_standing.queue, {})
            severities[queue_standing.severity] = severities.get(queue_standing.severity, 0) + queue_standing.cases
    return [
        QueueOut(queue=queue, depth=sum(counts.values()), severities={name: n for name, n in counts.items() if n})
        for queue, counts in sorted(by_severity.items())
    ]
