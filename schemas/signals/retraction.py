"""Taking a signal back. A retraction names a signal and says which of its versions are dead: all below a number.

A correction is a newer version of the signal, and what it replaces is dead. Invariant: that number only ever grows, so two
retractions give the same in either order, and a retraction that comes before its signal holds too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from pydantic import Field

from schemas.common import AmountMinor, Currency, Instant, Name, PartyId, Sealed, Stored
from schemas.signals.submission import MOST_VERSIONS, SignalKind, Trust

FOREVER = 1 << 20
"""Below this lies every version: the signal is taken back for good."""

JOINS_OF_ONE = 16
"""The joins of one signal are numbered below it; no policy has more routes."""


def name_of(signal_id: str, version: int) -> str:
    """What one version of a signal is remembered by: `sig-…`, `sig-…/2`."""
    return signal_id if version == 1 else f"{signal_id}/{version}"


class _Versioned(Protocol):
    @property
    def signal_id(self) -> str: ...

    @property
    def version(self) -> int: ...


Versioned = TypeVar("Versioned", bound=_Versioned)


def signal_of_join(action_id: str, signals: Iterable[Versioned]) -> Versioned | None:
    """Which of these signals a join (`join-<signal>-<queue>`) is about."""
    return next(
        (signal for signal in signals if action_id.startswith(f"join-{name_of(signal.signal_id, signal.version)}-")), None
    )


def source_of_join(origin: str | None) -> tuple[int, int, int] | None:
    """Partition, position and number of the signal that a change let join, from the change's `origin`; None of any other."""
    partition, _, number = (origin or "").rpartition(":")
    if not partition.isdigit() or not number.isdigit():
        return None
    return int(partition), *divmod(int(number) - 1, JOINS_OF_ONE)


class Retraction(Stored):
    """The value of `signals.retractions.v1`: versions of the signal below `below` count no more.

    `forwarded`: assess sent it on to the partition where a version of the signal stands, for there is the order of its subject.
    """

    signal_id: Name
    institution: PartyId
    below: int = Field(ge=2, le=FOREVER)
    reason_sealed: Sealed | None = None
    forwarded: bool = False


class Standing(Stored):
    """What one version of a signal added, so that exactly this can be taken away again.

    `content_id` and `sighted` (tokens, of a lead with its mark) name its sightings, `traces` (kind of set, token, member) what it
    left of victims and transfers, `primary` its subject; `queues` where it joined a case, the rest is what it added there.
    `case_key`: what the cases' ids are made of where that is not the primary subject (domain/signals/hubs.py).
    `freed`: no other signal holds the content, its sightings and traces go with it. `accepted_at`, `noticed_at`: when it
    counted as a report, and since when its sender knew (None in facts of before there were scorecards).
    """

    signal_id: Name
    version: int = Field(ge=1, le=MOST_VERSIONS)
    institution: PartyId
    kind: SignalKind
    score: int = Field(ge=0, le=100)
    amount_minor: AmountMinor | None = None
    currency: Currency | None = None
    trust: Trust | None = None
    content_id: Name
    primary: Name
    sighted: tuple[Name, ...] = ()
    traces: tuple[tuple[Name, Name, Name], ...] = ()
    queues: tuple[Name, ...] = ()
    freed: bool = False
    accepted_at: Instant | None = None
    noticed_at: Instant | None = None
    case_key: Name | None = None

    @property
    def name(self) -> str:
        return name_of(self.signal_id, self.version)
