"""The effect of a hub (schemas/signals/hubs.py) on a signal: it is named and searchable, and nothing else. Pure.

A listed hub leaves no sightings, transfers or events. A measured one is found by its neighbours: each of a subject's sightings
names the signal's primary subject, unless that is the subject itself or a natural part of it. Invariant: the key of a case
follows from the signal's subjects and their marks, so a projection needs the fact alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Protocol, TypeVar

from schemas.signals.hubs import MEASURED
from schemas.signals.indicators import IndicatorKind as K
from schemas.signals.subjects import Subject
from schemas.signals.submission import SignalKind
from stream_processors.domain.signals.leads import match_name
from stream_processors.domain.signals.trust import sighted

NOTHING: frozenset[str] = frozenset()
BESIDE = 5
"""Characters of the primary subject's token in a sighting: 30 bits of a keyed name, enough within the set of one subject."""
_NATURAL: Mapping[str, frozenset[str]] = {
    K.URL: frozenset({K.DOMAIN, K.IP}),
    K.PHONE: frozenset({K.SIM, K.IMSI, K.IMEI, K.DEVICE}),
}
"""Kind of the primary subject -> kinds that belong to it. A site has many pages, and a box of SIM cards has many numbers."""
_ENDS = ("payer", "payee")


class _NamesSubjects(Protocol):
    """A submitted signal, the fact of one, or a row of it."""

    @property
    def signal_id(self) -> str | None: ...
    @property
    def kind(self) -> SignalKind | None: ...
    @property
    def subjects(self) -> tuple[Subject, ...]: ...
    @property
    def trust(self) -> str | None: ...


S = TypeVar("S", bound=Subject)


def is_listed(subject: Subject) -> bool:
    return subject.hub is not None and subject.hub != MEASURED


def marked(subjects: tuple[Subject, ...], measured: Set[str]) -> tuple[Subject, ...]:
    """The subjects, with marks for those (tokens) that the state found to be hubs."""
    if not measured:
        return subjects
    return tuple(
        subject.model_copy(update={"hub": MEASURED})
        if subject.token in measured and subject.hub is None and subject.role == "suspect"
        else subject
        for subject in subjects
    )


def leading(subjects: tuple[S, ...], measured: Set[str] = NOTHING) -> S | None:
    """The first suspect that is not a hub; None if all are. Derived subjects never lead."""
    for subject in subjects:
        if subject.role == "suspect" and subject.hub is None and not subject.derived and subject.token not in measured:
            return subject
    return None


def case_key(signal: _NamesSubjects, measured: Set[str] = NOTHING) -> str:
    """The base of the ids of the signal's cases: the token of its leading suspect. If all are hubs it is the signal's own id, so
    that nothing else joins such a case."""
    suspect = leading(signal.subjects, measured)
    if suspect is not None:
        return suspect.token
    assert signal.signal_id is not None  # whatever counts has one
    return signal.signal_id


def case_name(signal: _NamesSubjects, measured: Set[str] = NOTHING) -> str:
    """The key for matching: leads of organized crime have cases of their own."""
    return match_name(case_key(signal, measured), signal.kind)


def beside(token: str, primary: str) -> str:
    """The short name of the primary subject in a sighting of another one."""
    return "" if token == primary else primary.rpartition(".")[2][:BESIDE]


def sightings(signal: _NamesSubjects) -> Iterator[tuple[str, str]]:
    """The match name of each sighted suspect, and its neighbour ("": none that counts). Ends of a transfer have no neighbour,
    because fan-in and fan-out cover them. Nor has the site derived from its own host."""
    first = signal.subjects[0]
    natural = _NATURAL.get(first.kind, NOTHING)
    beside_by_name: dict[str, str] = {}
    for subject in sighted(signal):
        is_site = subject.derived and first.kind == K.DOMAIN
        counts = subject.event_role not in _ENDS and subject.kind not in natural and not is_site
        name = match_name(subject.token, signal.kind)
        neighbour = beside(subject.token, first.token) if counts else ""
        # A card and an account of one number are seen once.
        beside_by_name[name] = min(beside_by_name.get(name, neighbour), neighbour)
    yield from beside_by_name.items()
