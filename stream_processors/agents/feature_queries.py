"""Queries of assess to the state about one signal, and the meaning of the answers. A query also adds the signal's own evidence.

Invariant: a query adds exactly what the projection of the fact adds (folds/), so a repeated query changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.common import DAY_MS, instant_ms
from schemas.policy import Policy
from schemas.signals.retraction import name_of
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.evidence_sets import (
    FLOWS_KEPT,
    VICTIM_KEPT,
    Flow,
    VictimMark,
    end_of,
    flows,
    latest_ms,
    victims,
)
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.hubs import NOTHING, is_listed, sightings
from stream_processors.domain.signals.leads import is_lead, match_name
from stream_processors.domain.signals.trust import low
from stream_processors.state.effects import Arg, sighting
from stream_processors.state.keys import bucket_of
from stream_processors.state.shared_hashes import drawer_of, long, short

WIDTHS = {"c": 2, "s": 5, "v": 2, "f": 3}
"""Query -> number of values in its answer (lua/observe.lua)."""


class Question(NamedTuple):
    """`args` begins with the name of the query."""

    bucket: int
    args: tuple[Arg, ...]


SuspectSeen = tuple[int, int, int, int]
"""Of one suspect: sightings, institutions, confirmed cases, and the number of primary subjects it was seen beside."""
_NO_FLOWS = (0, 0, 0, None)


class EndSeen(NamedTuple):
    """Knowledge of one end of the transfer (`way` i or o) and of the `other`."""

    token: str
    way: str
    other: str
    same_pair: int
    fan: int
    held_ms: int


@dataclass(slots=True)
class Seen:
    """The answers about one signal: of its suspects (by token), of its transfer's ends, the worst of its victims. `queues`: those
    in which each suspect has a case."""

    content_of: str = ""
    queues: dict[str, set[str]] = field(default_factory=dict)
    suspects: dict[str, SuspectSeen] = field(default_factory=dict)
    ends: list[EndSeen] = field(default_factory=list)
    victim_events: int = 0
    contact_gap_ms: int | None = None

    def take(self, args: tuple[Arg, ...], answer: Sequence[Any]) -> None:
        """`args` are those of the query."""
        if args[0] == "s":
            self.suspects[str(args[1])] = answer[0], answer[1], answer[2], answer[3]
            if answer[4]:
                self._case_of(str(args[1]), answer[4])
        elif args[0] == "c":
            self.content_of = long(answer[0])
            if answer[1]:
                self._case_of(str(args[5]), answer[1])
        elif args[0] == "v":
            self.victim_events = max(self.victim_events, answer[0])
            self.contact_gap_ms = _choose_shorter(self.contact_gap_ms, answer[1])
        else:
            self.ends.append(EndSeen(str(args[1]), str(args[2]), str(args[3]), *answer))

    def _case_of(self, token: str, queues: Sequence[bytes]) -> None:
        self.queues.setdefault(token, set()).update(queue.decode() for queue in queues)

    def measured(self, most: int | None, signal: SubmittedSignal) -> frozenset[str]:
        """The suspects (tokens) that were seen beside more than `most` primary subjects. Empty for a lead of organized crime,
        whose sender would learn from it what others sent."""
        if most is None or is_lead(signal.kind):
            return NOTHING
        crowded = [token for token, counts in self.suspects.items() if counts[3] > most]
        return frozenset(crowded) if crowded else NOTHING

    def features(self, signal: SubmittedSignal, measured: Set[str], age_ms: int) -> Features:
        """Hubs contribute nothing: neither sightings nor flows nor pairs. Sightings of others do not corroborate a tip."""
        sightings, institutions, confirmed = 1, 1, 0
        for name, counts in self.suspects.items() if not low(signal) else ():
            if name not in measured:
                sightings, institutions = max(sightings, counts[0]), max(institutions, counts[1])
                confirmed = max(confirmed, counts[2])
        flows = self._count_flows(signal, measured) if self.ends else _NO_FLOWS
        gap_s = _to_seconds(self.contact_gap_ms)
        return Features(sightings, institutions, confirmed, self.victim_events, gap_s, *flows, age_ms // 1000)

    def _count_flows(self, signal: SubmittedSignal, measured: Set[str]) -> tuple[int, int, int, int | None]:
        """Transfers of the same pair, fan-in, fan-out, how long money was held."""
        ends = [end for end in self.ends if end.token not in measured]
        hubs = {end_of(subject.token) for subject in signal.subjects if is_listed(subject) or subject.token in measured}
        return (
            max((end.same_pair for end in ends if end.other not in hubs), default=0),
            max((end.fan for end in ends if end.way == "i"), default=0),
            max((end.fan for end in ends if end.way == "o"), default=0),
            _to_seconds(min((end.held_ms for end in ends if end.held_ms >= 0), default=None)),
        )


def questions(signal: SubmittedSignal, policy: Policy, now_ms: int) -> list[Question]:
    """All queries about a signal; its content first."""
    keep, occurred = policy.retention, instant_ms(signal.occurred_at)
    latest = latest_ms(signal, now_ms)
    until = latest + keep.sightings_days * DAY_MS
    trim = now_ms - keep.sightings_days * DAY_MS
    since = max(0, occurred - policy.window_s * 1000)
    token, echo = match_name(signal.primary.token, signal.kind), signal.derived_from is not None
    claims_until = now_ms + keep.claims_days * DAY_MS
    name = name_of(signal.signal_id, signal.version)
    to_ask = [Question(bucket_of(token), content_question(signal.content_id, name, claims_until, token))]
    content = "" if echo or low(signal) else signal.content_id
    for suspect, beside in _list_suspects(signal):
        member = sighting(content, beside) if content else ""
        row = of_suspect(suspect, member, signal.institution, occurred, since, trim, until, now_ms, queues=suspect != token)
        to_ask.append(Question(bucket_of(suspect), row))
    to_ask += _of_victims(signal, policy, latest, echo)
    if signal.event is not None:
        to_ask += [Question(bucket_of(flow.token), _of_flow(flow, policy, until, echo)) for flow in flows(signal)]
    return to_ask


def _list_suspects(signal: SubmittedSignal) -> Iterator[tuple[str, str]]:
    """The queried suspects, and the primary subjects that each was seen beside. A tip reads only which of them are hubs."""
    if low(signal):
        suspects = (subject for subject in signal.subjects if subject.role == "suspect" and subject.hub is None)
        return ((match_name(subject.token, signal.kind), "") for subject in suspects)
    return sightings(signal)


def content_question(content: str, name: str, until_ms: int, token: str) -> tuple[Arg, ...]:
    return "c", short(content), drawer_of(content), short(name), until_ms, token, drawer_of(token)


def of_suspect(
    token: str,
    content: str,
    institution: str,
    occurred: int,
    since: int,
    trim: int,
    until_ms: int,
    now_ms: int,
    *,
    queues: bool = False,
) -> tuple[Arg, ...]:
    """Arguments that only go on to Redis' commands are text: Lua spends more on writing a number than the command on its work.
    `queues`: whether to read its cases, too; it leads the signal if those before it are hubs."""
    times = (str(occurred), str(since), trim, until_ms, str(now_ms))
    return "s", token, drawer_of(token), content, institution, *times, int(queues)


def _of_victims(signal: SubmittedSignal, policy: Policy, latest: int, echo: bool) -> Iterator[Question]:
    until = latest + policy.retention.victims_days * DAY_MS
    for mark in victims(signal):
        yield Question(bucket_of(mark.token), _of_victim(mark, policy, until, echo))


def _of_victim(mark: VictimMark, policy: Policy, until: int, echo: bool) -> tuple[Arg, ...]:
    at, contact = mark.at_ms, policy.contact_s * 1000
    earliest, latest = (at - contact, at) if mark.answer == "c" else (at, at + contact)
    before = at - policy.flows.victim_window_s * 1000
    member = "" if echo else mark.member
    return "v", mark.token, drawer_of(mark.token), member, at, before, mark.answer, earliest, latest, VICTIM_KEPT, until


def _of_flow(flow: Flow, policy: Policy, until: int, echo: bool) -> tuple[Arg, ...]:
    """Money leaves not before it came in, and not more than came in, less the permitted loss."""
    amount, kept_permille = flow.amount_minor, 1000 - policy.flows.max_loss_permille
    low, high = (amount, amount * 1000 // kept_permille) if flow.way == "o" else (-(-amount * kept_permille // 1000), amount)
    window, passing = policy.flows.window_s * 1000, policy.passing_s * 1000
    member = "" if echo else flow.member
    head = ("f", flow.token, flow.way, flow.other, flow.at_ms, window, passing)
    return *head, low, high, flow.currency, member, FLOWS_KEPT, until


def _choose_shorter(gap_ms: int | None, other_ms: int) -> int | None:
    """-1 means none in the scripts."""
    if other_ms < 0:
        return gap_ms
    return other_ms if gap_ms is None else min(gap_ms, other_ms)


def _to_seconds(span_ms: int | None) -> int | None:
    return None if span_ms is None else span_ms // 1000
