"""Classifies a record: reprocessed source, duplicate reference, duplicate content, conflict, retracted signal, new signal.

A claim remembers its source. The same source again is reprocessing (continue as the first time). Another source with the same
sender and reference: a duplicate if the body is the same, a conflict if not. A new reference with content that this institution
sent before: duplicate content. Another institution with the same subject is no duplicate: it corroborates, and counts. A version
below its signal's floor was retracted, or a newer version arrived first.
"""

from __future__ import annotations

from schemas.signals.assessed import AssessOutcome
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Observed


def holds_claim(observed_by: str, source: str) -> bool:
    """Whether the record at `source` holds the identity (first time, or reprocessing)."""
    return observed_by == source


def classify(signal: SubmittedSignal, *, observed: Observed, source: str) -> tuple[AssessOutcome, str | None]:
    """The outcome, and the signal that this one repeats, if any."""
    if not holds_claim(observed.claimed_by, source):
        same_body = observed.claimed_body == signal.body_id
        return (AssessOutcome.DUPLICATE_REFERENCE if same_body else AssessOutcome.CONFLICT), signal.signal_id
    if signal.version < observed.floor:
        return AssessOutcome.RETRACTED, None
    holder = (observed.content_of or signal.signal_id).partition("/")[0]
    if holder != signal.signal_id:
        return AssessOutcome.DUPLICATE_CONTENT, holder
    return AssessOutcome.ASSESSED, None
