"""Decides on a raw record: the receipt. Pure; a receipt is the stage's one fact about its source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.parsing import Refused
from schemas.signals.advisories import Advice
from schemas.signals.receipts import RawAdvisory, RawFault, RawOutcome, RawReceipt

_MOST_ADVISORIES = 64


def whole(value: bytes | None, limit_bytes: int) -> bytes:
    """The value if it may be read at all. Refused if there is none, or if it is too large."""
    if value is None:
        raise Refused("invalid-signal", "the record has no value; a raw record must hold one signal", ())
    if len(value) > limit_bytes:
        raise Refused("body-too-large", f"a signal has at most {limit_bytes} bytes, this record has {len(value)}")
    return value


def reference_of(reference: str | None) -> str:
    """A raw record has no Idempotency-Key that could replace the sender's own name of the signal."""
    if reference is None:
        raise Refused("reference-missing", "the signal requires a reference")
    return reference


def accepted(*, signal_id: str, reference: str, receipt: str, now: datetime, advisories: Sequence[Advice] = ()) -> RawReceipt:
    return RawReceipt.trusted(
        outcome=RawOutcome.ACCEPTED,
        received_at=now,
        signal_id=signal_id,
        reference=reference,
        receipt=receipt,
        advisories=tuple(RawAdvisory.trusted(**advice._asdict()) for advice in advisories[:_MOST_ADVISORIES]),
    )


def refused(*, refusal: Refused, now: datetime) -> RawReceipt:
    faults = tuple(RawFault.trusted(pointer=fault.pointer, detail=fault.detail) for fault in refusal.faults or ())
    return RawReceipt.trusted(
        outcome=RawOutcome.REFUSED, received_at=now, problem=refusal.slug, detail=refusal.detail, errors=faults
    )
