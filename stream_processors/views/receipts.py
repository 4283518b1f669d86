"""Receipts: the outcome of a signal, for its sender.

Keys: `r` a receipt for each version, in a shared hash, `x` the newest retraction or correction. Invariant: a version has one
receipt, and of withdrawals the newest counts, so the order of facts does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

import orjson

from schemas.codec import RowEnvelope
from schemas.common import Instant, Stored
from schemas.signals.assessed import AssessedSignal, AssessOutcome, Reason
from schemas.signals.explanations import is_own
from schemas.signals.retraction import FOREVER, name_of
from schemas.signals.submission import MOST_VERSIONS
from stream_processors.domain.scorecards import signal_leaves
from stream_processors.state.compression import Form, pack, unpack
from stream_processors.state.effects import Effect, put, put_newer
from stream_processors.state.keys import PROJECT, ProjectKey, bucket_of
from stream_processors.state.record_views import ReasonRow, ReceiptRow
from stream_processors.state.shared_hashes import drawer, short
from stream_processors.state.store import RedisLike
from stream_processors.views.case_index import index_effects
from stream_processors.views.reading import WholeRead, live_value
from stream_processors.views.scorecards import count_outcome, tallies


class Receipt(Stored):
    """The outcome of a signal and its cases. `outcome`: assessed, duplicate_content (of the signal `duplicate_of`) or retracted.

    `reasons` are those that rest on the signal alone, because its sender may read no others; for a lead of organized crime,
    `severity` follows from them. `version` is the one that counts, or the last one that did.
    """

    signal_id: str
    outcome: str
    accepted_at: Instant
    assessed_at: Instant
    institution: str
    duplicate_of: str | None = None
    why: str | None = None
    score: int | None = None
    severity: str | None = None
    queues: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    policy: str | None = None
    reasons: tuple[Reason, ...] = ()
    version: int = 1
    retracted_at: Instant | None = None


class Withdrawal(Stored):
    """A signal's newest retraction or correction: versions below `below_version` no longer count."""

    institution: str
    below_version: int
    at: Instant


def project_assessed(envelope: RowEnvelope[ReceiptRow]) -> list[Effect]:
    """A receipt for a signal that counts, is a re-send or was retracted before it came; its newest retraction; the index entries
    of its indicators; a counter for each outcome; its contribution to the scorecards."""
    fact = envelope.data
    who = fact.institution or "unknown"
    effects = [count_outcome(fact.outcome.value, who)]
    effects += tallies(signal_leaves(cast("AssessedSignal", fact)))
    if fact.signal_id is None:
        return effects
    bucket, until = bucket_of(fact.signal_id), fact.cases_until_ms
    if fact.outcome in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT, AssessOutcome.RETRACTED):
        name = name_of(fact.signal_id, fact.version)
        effects.append(put(ProjectKey.RECEIPTS.key(name, bucket), receipt_json(fact, envelope.time), until))
    if fact.outcome in (AssessOutcome.RETRACTION, AssessOutcome.CORRECTION):
        effects.append(put_newer(ProjectKey.WITHDRAWALS.key(fact.signal_id), fact.below_version, withdrawal_json(fact), until))
    return effects + index_effects(fact)


def receipt_json(fact: ReceiptRow, assessed_at: datetime) -> bytes:
    """The stored receipt: packed, without empty fields. It leaves out the sender's reference, because nobody reads it from here
    and its sealed form would be the larger part."""
    assert fact.institution
    raw: dict[str, object] = {
        "outcome": fact.outcome.value,
        "accepted_at": fact.accepted_at,
        "assessed_at": assessed_at,
        "institution": fact.institution,
    }
    if fact.version > 1:
        raw["version"] = fact.version
    if fact.duplicate_of:
        raw["duplicate_of"] = fact.duplicate_of
    elif fact.outcome is AssessOutcome.ASSESSED:
        raw |= {"score": fact.score, "severity": fact.sender_severity or fact.severity, "policy": fact.policy}
        if reasons := [_dump_reason(reason) for reason in fact.reasons if is_own(reason.rule)]:
            raw["reasons"] = reasons
    if fact.routes:
        raw |= {"queues": [route.queue for route in fact.routes], "cases": [route.case_id for route in fact.routes]}
    return pack(Form.RECEIPT, orjson.dumps(raw, option=orjson.OPT_UTC_Z))


def receipt_of(signal_id: str, raw: bytes) -> Receipt:
    """Reads the receipt that `receipt_json` wrote for a version of this signal."""
    return Receipt.model_validate({"signal_id": signal_id, **orjson.loads(unpack(raw))})


def _dump_reason(reason: ReasonRow) -> dict[str, object]:
    """Named fields only: a newer version's model may have more, and both must write the same receipt during an upgrade."""
    return {"rule": reason.rule, "points": reason.points, "evidence": reason.evidence}


def withdrawal_json(fact: ReceiptRow) -> bytes:
    raw = {"institution": fact.institution, "below_version": fact.below_version, "at": fact.accepted_at}
    return orjson.dumps(raw, option=orjson.OPT_UTC_Z)


def told(signal_id: str, receipts: Sequence[Receipt], withdrawal: Withdrawal | None) -> Receipt | None:
    """The receipt that the sender sees: the newest version's, marked as retracted if it was. A retraction that came before its
    signal has a receipt, too."""
    newest = max(receipts, key=lambda receipt: receipt.version, default=None)
    if withdrawal is None or (newest is not None and newest.version >= withdrawal.below_version):
        return newest
    if newest is not None and withdrawal.below_version != FOREVER:
        return newest  # the version that replaces it is on its way
    retracted = {"outcome": AssessOutcome.RETRACTED.value, "retracted_at": withdrawal.at}
    if newest is not None:
        return newest.model_copy(update=retracted)
    if withdrawal.below_version != FOREVER:
        return None
    from_withdrawal = {"accepted_at": withdrawal.at, "assessed_at": withdrawal.at, "institution": withdrawal.institution}
    return Receipt(signal_id=signal_id, **from_withdrawal, **retracted)


class ReceiptViews:
    _redis: RedisLike

    async def receipt(self, signal_id: str) -> Receipt | None:
        bucket = bucket_of(signal_id)
        names = [name_of(signal_id, version) for version in range(1, MOST_VERSIONS + 1)]
        read = WholeRead(self._redis, atomic=True)
        read.of(bucket).hmget(drawer(PROJECT, bucket, ProjectKey.RECEIPTS, signal_id), [short(name) for name in names])
        read.of(bucket).hget(PROJECT.key(bucket, ProjectKey.WITHDRAWALS, signal_id), "text")
        raw_receipts, raw_withdrawal = await read.answer()
        receipts = [receipt_of(signal_id, raw) for raw in map(live_value, raw_receipts) if raw is not None]
        return told(signal_id, receipts, Withdrawal.model_validate_json(raw_withdrawal) if raw_withdrawal is not None else None)
