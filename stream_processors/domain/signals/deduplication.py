"""Tells apart: a replay of the same source record, a repeat, a re-send, a conflict, a signal that was taken back, a new one.

A claim remembers its source. Same source again is a replay (go on as the first time). Other source, same sender and
reference: a repeat when the body is the same, a conflict when not. New reference but a content this institution sent before: a
re-send. Another institution with the same subject is no duplicate at all: it corroborates, and counts. A version
below its signal's floor is dead: the signal was retracted, or a newer version was there first.
"""

from __future__ import annotations

from schemas.signals.assessed import AssessOutcome
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Observed


def holds_claim(observed_by: str, source: str) -> bool:
    """Whether the record at `source` is the one that holds the identity (first time, or a replay)."""
    return observed_by == source


def classify(signal: SubmittedSignal, *, observed: Observed, source: str) -> tuple[AssessOutcome, str | None]:
    """The outcome and the signal that this one repeats, if any."""
    if not holds_claim(observed.claimed_by, source):
        same_body = observed.claimed_body == signal.body_id
        return (AssessOutcome.DUPLICATE_REFERENCE if same_body else AssessOutcome.CONFLICT), signal.signal_id
    if signal.version < observed.floor:
        return AssessOutcome.RETRACTED, None
    holder = (observed.content_of or signal.signal_id).partition("/")[0]
    if holder != signal.signal_id:
        return AssessOutcome.DUPLICATE_CONTENT, holder
    return AssessOutcome.ASSESSED, None
