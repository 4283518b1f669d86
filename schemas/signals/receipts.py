"""Receipts that an institution reads in `signals.receipts.<institution>` for its records in `signals.raw.<institution>`.

Each raw record has one receipt that counts: the first with its origin (envelope). Later ones with the same origin are
redeliveries of a killed stage; readers drop them.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from schemas.common import Instant, Name, Stored


class RawOutcome(StrEnum):
    """ACCEPTED: the signal is in the log, and `GET /v1/signals/{signal_id}` gives its status. REFUSED: it is not."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class RawFault(Stored):
    """One place of a refused record (JSON pointer) and its fault, without the value."""

    pointer: str
    detail: str


class RawAdvisory(Stored):
    """A warning about an accepted record (docs/reference/indicators.md)."""

    pointer: str
    code: str
    detail: str


class RawReceipt(Stored):
    """The value of `signals.receipts.<institution>`; the envelope's `origin` names the raw record.

    `received_at` is the raw record's LogAppendTime; `receipt` proves the signal's position in the log to its operator (`liandong
    receipt`). `problem` is a slug of docs/reference/errors.md, `detail` one sentence for people.
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
