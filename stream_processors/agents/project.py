"""project: builds the views. Projects the fact streams as they arrive; writes nothing but dead letters.

Its live step is the restore barrier's own projection, so a rebuilt view equals one that was never lost.
"""

from __future__ import annotations

import time
from datetime import datetime

from schemas.cases.case import ActionKind
from schemas.signals.assessed import AssessOutcome
from schemas.topics import ASSESSED, CASE_CHANGES, DELIVERIES, NOTIFICATIONS
from stream_processors.agents.base import Batch
from stream_processors.agents.projecting import Chunks, Folding
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.metrics import METRICS, Steps
from stream_processors.state.record_views import ChangeRow, IssuedRow, MarkRow, ReceiptRow
from stream_processors.topology import STAGES
from stream_processors.views.inbox import CHANNEL, news

_VIEWS = {ASSESSED.name: "receipt", CASE_CHANGES.name: "queue", NOTIFICATIONS.name: "inbox"}
"""The views that a fact of the topic makes visible."""
_INBOXES = (NOTIFICATIONS.name, DELIVERIES.name)


class Project(Folding):
    stage = STAGES["project"]

    async def _process_poll(self, batch: Batch) -> None:
        point("project.polled")
        steps = Steps("project")
        chunks = await self._read_chunks(batch)
        steps.done("read")
        point("project.buried")
        await self._fold_chunks(batch, chunks)
        steps.done("fold")
        point("project.folded")
        inboxes = [fact.envelope.data for stream, chunk in chunks if stream.topic.name in _INBOXES for fact in chunk.counted]
        if (message := news(inboxes)) is not None:
            await self.store.tell(CHANNEL, message)
        _tell_visible(chunks)
        point("project.told")


def _tell_visible(chunks: Chunks) -> None:
    """Measures the time from the acceptance of the oldest signal of each chunk, and from the cause of the oldest notice."""
    now = time.time()
    for stream, chunk in chunks:
        view = _VIEWS.get(stream.topic.name)
        if view is None:
            continue
        accepted = next(filter(None, (_accepted_at(fact.envelope.data) for fact in chunk.counted)), None)
        if accepted is not None:
            METRICS.visible_s.labels(view).observe(max(0.0, now - accepted.timestamp()))


def _accepted_at(data: ReceiptRow | ChangeRow | IssuedRow | MarkRow) -> datetime | None:
    """The acceptance time of the fact's signal, or the time of a notice; None for a fact that shows none (a duplicate, an
    officer's action)."""
    if isinstance(data, IssuedRow):
        return data.notification.at if data.notification is not None else None
    if isinstance(data, MarkRow):
        return None
    if isinstance(data, ReceiptRow):
        return data.accepted_at if data.outcome in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT) else None
    return data.newest_accepted() if data.case is not None and data.kind is ActionKind.JOIN else None
