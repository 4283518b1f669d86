"""What an institution reads in `signals.receipts.<institution>` about each record that it wrote to `signals.raw.<institution>`.

One raw record, one receipt that counts: the first one with its origin (envelope). Later ones with the same origin are echoes of
a stage that was killed in between; a reader drops them.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from schemas.common import Instant, Name, Stored


class RawOutcome(StrEnum):
    """ACCEPTED: the signal is in the log, `GET /v1/signals/{signal_id}` tells what becomes of it. REFUSED: it is not."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class RawFault(Stored):
    """One place of a refused record (JSON pointer) and what is wrong there, without the value."""

    pointer: str
    detail: str


class RawAdvisory(Stored):
    """Something odd in a record that was accepted all the same (docs/reference/indicators.md)."""

    pointer: str
    code: str
    detail: str


class RawReceipt(Stored):
    """The value of `signals.receipts.<institution>`; the envelope's `origin` names the raw record.

    `received_at` is the raw record's LogAppendTime; `receipt` proves the signal's place in the log to its operator
    (`liandong receipt`). `problem` is a slug of docs/reference/errors.md, `detail` one sentence for people.
    """

    outcome: RawOutcome
    received_at: Instant
    signal_id: Name | None = None
    reference: Name | None = None
    receipt: Name | None = None
    problem: str | None = None
    detail: str | None = None
    errors: tuple[RawFault, ...] = Field(default=(), max_length=64)
    advisories: tuple[RawAdvisory, ...] = Field(default=(), max_length=64)
