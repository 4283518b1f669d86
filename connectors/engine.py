"""The engine of every connector: sends items to the gateway in batches, then writes rejects, then the cursor, always in this
order.

Invariant: after a kill at any moment, a restart repeats only what was not saved, under the same references (so it counts once),
and the files of rejects and advisories contain each row once (they are cut back to the lengths in the cursor).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from connectors.contract import (
    Advised,
    AdvisoryStore,
    CursorStore,
    FeedItem,
    Observer,
    Progress,
    Reject,
    RejectStore,
    RowSource,
    SignalAnswer,
    SignalGateway,
)

BATCH = 500


class Totals(NamedTuple):
    """Rows of one source from its beginning: in the log, of these already known to the gateway, and rejected.

    The progress also counts `advised`: accepted rows with an advisory.
    """

    accepted: int = 0
    replayed: int = 0
    rejected: int = 0

    @property
    def rows(self) -> int:
        return self.accepted + self.rejected


async def feed(
    source: RowSource,
    *,
    gateway: SignalGateway,
    cursor: CursorStore,
    rejects: RejectStore,
    advisories: AdvisoryStore | None = None,
    observer: Observer | None = None,
    batch: int = BATCH,
) -> Totals:
    """Sends everything that is there now and returns the totals; call it again for later items."""
    saved = cursor.load()
    rejects.rewind(saved.rejects_bytes)
    if advisories is not None:
        advisories.rewind(saved.advisories_bytes)
    totals = Totals(*(saved.totals.get(name, 0) for name in Totals._fields))
    advised = saved.totals.get("advised", 0)
    for items in _cut_batches(source.items(saved.position), batch):
        answers = await gateway.send([item.body for item in items if item.body is not None])
        bad = _find_rejects(items, answers)
        odd = _find_advised(items, answers)
        length = rejects.write(bad) if bad else saved.rejects_bytes
        advisories_length = advisories.write(odd) if odd and advisories is not None else saved.advisories_bytes
        totals = Totals(
            totals.accepted + sum(answer.status == "accepted" for answer in answers),
            totals.replayed + sum(answer.replayed for answer in answers),
            totals.rejected + len(bad),
        )
        advised += len(odd)
        saved = Progress(items[-1].position, length, {**totals._asdict(), "advised": advised}, advisories_length)
        cursor.save(saved)
        if observer is not None:
            observer.on_batch(source, saved)
    return totals


def _cut_batches(items: Iterator[FeedItem], size: int) -> Iterator[list[FeedItem]]:
    while chunk := list(islice(items, size)):
        yield chunk


def _find_rejects(items: Sequence[FeedItem], answers: Sequence[SignalAnswer]) -> list[Reject]:
    """Returns rows with a fault of their own and rows that the gateway refused, in order."""
    remaining = iter(answers)
    bad = []
    for item in items:
        if item.body is None:
            bad.append(Reject(item.number, item.fault or "the row has no signal", item.raw, "mapping"))
            continue
        answer = next(remaining)
        if answer.status == "refused":
            bad.append(Reject(item.number, answer.reason, item.raw, "gateway"))
    return bad


def _find_advised(items: Sequence[FeedItem], answers: Sequence[SignalAnswer]) -> list[Advised]:
    """Returns accepted rows with advisories, in order."""
    sent = ((item.number, item.body) for item in items if item.body is not None)
    return [
        Advised(number, str(body.get("reference") or ""), tuple(advisory.model_dump() for advisory in answer.advisories))
        for (number, body), answer in zip(sent, answers, strict=True)
        if answer.status == "accepted" and answer.advisories
    ]
