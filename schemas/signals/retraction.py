"""Retractions. A retraction names a signal and retracts its versions below a number.

A correction is a newer version of the signal, and the replaced ones are retracted. Invariant: that number only rises, so two
retractions give the same result in either order, and a retraction may arrive before its signal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from pydantic import Field

from schemas.common import AmountMinor, Currency, Instant, Name, PartyId, Sealed, Stored
from schemas.signals.submission import MOST_VERSIONS, SignalKind, Trust

FOREVER = 1 << 20
"""A floor above every version: the signal is retracted for good."""

JOINS_OF_ONE = 16
"""Upper bound of the join numbers of one signal. No policy has more routes."""


def name_of(signal_id: str, version: int) -> str:
    """Returns the name of one version of a signal: `sig-…`, `sig-…/2`."""
    return signal_id if version == 1 else f"{signal_id}/{version}"


class _Versioned(Protocol):
    @property
    def signal_id(self) -> str: ...

    @property
    def version(self) -> int: ...


Versioned = TypeVar("Versioned", bound=_Versioned)


def signal_of_join(action_id: str, signals: Iterable[Versioned]) -> Versioned | None:
    """Returns the one of these signals that a join (`join-<signal>-<queue>`) concerns."""
    return next(
        (signal for signal in signals if action_id.startswith(f"join-{name_of(signal.signal_id, signal.version)}-")), None
    )


def source_of_join(origin: str | None) -> tuple[int, int, int] | None:
    """Returns partition, position and number of the signal behind a join, from the change's `origin`; None for other changes."""
    partition, _, number = (origin or "").rpartition(":")
    if not partition.isdigit() or not number.isdigit():
        return None
    return int(partition), *divmod(int(number) - 1, JOINS_OF_ONE)


class Retraction(Stored):
    """The value of `signals.retractions.v1`: versions of the signal below `below_version` no longer count.

    `forwarded`: assess sent it on to the partition of a version of the signal, which keeps the order of its subject.
    """

    signal_id: Name
    institution: PartyId
    below_version: int = Field(ge=2, le=FOREVER)
    reason_sealed: Sealed | None = None
    forwarded: bool = False


class Contribution(Stored):
    """The contribution of one version of a signal, so that exactly this can be removed.

    `content_id` and `sighting_tokens` (tokens; of a lead with its mark) name its sightings, `traces` (kind of set, token, member)
    its entries of victims and transfers, `primary` its subject; `queues` are those where it joined a case, the rest is its
    contribution there. `case_key`: the base of the case ids if it is not the primary subject (domain/signals/hubs.py).
    `is_last_of_content`: no other signal has the content, so its sightings and traces are removed, too. `accepted_at`,
    `known_at`: when it counted as a report, and when its sender noticed it (None in facts from before scorecards).
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
    sighting_tokens: tuple[Name, ...] = ()
    traces: tuple[tuple[Name, Name, Name], ...] = ()
    queues: tuple[Name, ...] = ()
    is_last_of_content: bool = False
    accepted_at: Instant | None = None
    known_at: Instant | None = None
    case_key: Name | None = None

    @property
    def name(self) -> str:
        return name_of(self.signal_id, self.version)
