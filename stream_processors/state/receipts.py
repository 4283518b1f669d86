"""The receipt of a signal as the views keep it."""

from __future__ import annotations

from datetime import datetime

import orjson

from schemas.facts import Reason
from schemas.reasons import is_own
from schemas.values import Instant, Stored
from stream_processors.state.rows import ReceiptRow


class Receipt(Stored):
    """What became of a signal: `outcome` assessed or resend (then `of` is the signal it repeats), and where it went.

    `reasons` are those that rest on the signal alone: they are all that its sender may read.
    """

    signal_id: str
    outcome: str
    accepted_at: Instant
    assessed_at: Instant
    institution: str
    reference: str
    of: str | None = None
    why: str | None = None
    score: int | None = None
    severity: str | None = None
    queues: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    policy: str | None = None
    reasons: tuple[Reason, ...] = ()


def receipt_json(fact: ReceiptRow, assessed_at: datetime) -> bytes:
    """The receipt as stored: compact, empty fields left out."""
    assert fact.signal_id and fact.institution and fact.reference
    raw: dict[str, object] = {
        "signal_id": fact.signal_id,
        "outcome": fact.outcome.value,
        "accepted_at": fact.accepted_at,
        "assessed_at": assessed_at,
        "institution": fact.institution,
        "reference": fact.reference,
    }
    if fact.of:
        raw["of"] = fact.of
    else:
        raw |= {"score": fact.score, "severity": fact.severity, "policy": fact.policy}
        if reasons := [dict(one.__dict__) for one in fact.reasons if is_own(one)]:
            raw["reasons"] = reasons
    if fact.routes:
        raw |= {"queues": [route.queue for route in fact.routes], "cases": [route.case_id for route in fact.routes]}
    return orjson.dumps(raw, option=orjson.OPT_UTC_Z)
