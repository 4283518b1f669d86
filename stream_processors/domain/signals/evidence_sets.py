"""The evidence of a signal's victims and transfer, as members of bounded sets. Pure.

Invariant: a member follows from the content alone, so reprocessing or a duplicate adds nothing new. A signal that repeats another
sender's (`derived_from`) leaves nothing, because it counts as that signal; neither does a tip. A victim's account has no flows; a
listed hub has neither flows nor marks. An unmatched subject leaves nothing, because nobody knows who it was: it is no repeated
victim and no other end.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar
from zlib import crc32

from schemas.common import instant_ms
from schemas.signals.events import EventFact
from schemas.signals.submission import ScamStage, SignalKind, Subject
from stream_processors.domain.signals.leads import match_name
from stream_processors.domain.signals.trust import low, sighted

FLOWS_KEPT = 64
VICTIM_KEPT = 32
"""Newest members of a set that are kept. The newest of a union are the newest of the parts' newest, in any order."""

CONTACT, PAYMENT, OTHER = "c", "p", "o"
_ANSWERS = {CONTACT: PAYMENT, PAYMENT: CONTACT, OTHER: ""}
_PAYING = frozenset({ScamStage.PAYMENT_PENDING, ScamStage.PAID})

T = TypeVar("T", str, datetime)


class Traced(Protocol):
    """A submitted signal, or the fact of one."""

    @property
    def institution(self) -> str | None: ...
    @property
    def kind(self) -> SignalKind | None: ...
    @property
    def content_id(self) -> str | None: ...
    @property
    def occurred_at(self) -> datetime | None: ...
    @property
    def subjects(self) -> tuple[Subject, ...]: ...
    @property
    def stage(self) -> ScamStage | None: ...
    @property
    def derived_from(self) -> str | None: ...
    @property
    def trust(self) -> str | None: ...
    @property
    def event(self) -> EventFact | None: ...


class VictimMark(NamedTuple):
    """An event of a victim and its time; `answer` is the kind of mark that links a contact and a payment."""

    token: str
    kind: str
    at_ms: int
    member: str

    @property
    def answer(self) -> str:
        return _ANSWERS[self.kind]


class Flow(NamedTuple):
    """One end of a transfer, as the suspect there has it: money goes out (`o`) to `other`, or comes in (`i`) from it."""

    token: str
    way: str
    other: str
    who: str
    at_ms: int
    amount_minor: int
    currency: str
    member: str


def latest_ms(signal: Traced, now_ms: int) -> int:
    """The latest of the signal's times. Its evidence is kept from then on, so that nothing expires early."""
    times = [signal.occurred_at, signal.event.at if signal.event is not None else None]
    return max(now_ms, *(instant_ms(at) for at in times if at is not None))


def victims(signal: Traced) -> Iterator[VictimMark]:
    """One for each victim that the signal names."""
    if low(signal):
        return
    hit = {
        subject.token: None
        for subject in signal.subjects
        if subject.role == "victim" and subject.unmatched is None and subject.hub is None
    }
    if not hit:
        return
    kind, event = _kind_of(signal), signal.event
    at_ms = instant_ms(event.at if event is not None else _require_value(signal.occurred_at))
    for token in hit:
        yield VictimMark(match_name(token, signal.kind), kind, at_ms, kind + _require_value(signal.content_id))


def flows(signal: Traced) -> Iterator[Flow]:
    """One for each suspect end of a transfer. The member is short (under 64 bytes): way, other end, reporter, content, money.

    It contains the reporter because the banks of both ends may report one transfer; only one bank's reports make a repeated pair.
    """
    event = signal.event
    if low(signal) or event is None or event.type != "transfer" or event.amount_minor is None:
        return
    if any(subject.unmatched is not None for subject in signal.subjects if subject.event_role is not None):
        return
    at_ms, currency = instant_ms(event.at), event.currency or ""
    who = f"{crc32(_require_value(signal.institution).encode()):08x}"
    for subject in sighted(signal):
        if subject.event_role not in ("payer", "payee"):
            continue
        way, end = ("o", event.payee) if subject.event_role == "payer" else ("i", event.payer)
        other = end_of(end or "")
        member = f"{way}{other}{who}{_narrow_name(_require_value(signal.content_id))}{event.amount_minor}{currency}"
        yield Flow(match_name(subject.token, signal.kind), way, other, who, at_ms, event.amount_minor, currency, member)


def _kind_of(signal: Traced) -> str:
    event = signal.event
    if event is not None and event.type in ("call", "message"):
        return CONTACT
    paying = (event is not None and event.type == "transfer") or signal.stage in _PAYING
    return PAYMENT if paying else OTHER


def _narrow_name(text: str) -> str:
    """66 bits of a keyed name: more than enough within one subject's set."""
    return f"{text[:11]:_<11}"


def end_of(token: str) -> str:
    """The end of a transfer as a flow's `other` names it."""
    return _narrow_name(token.rpartition(".")[2])


def _require_value(value: T | None) -> T:
    """A member of every assessed signal, although a fact's model permits its absence."""
    assert value is not None
    return value
