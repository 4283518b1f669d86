"""What assess asks the state about one signal, and what the answers mean. The questions add the signal's own traces.

Invariant: what a question adds is what the fold of the fact adds (state/folds.py), so asking again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.policy import Policy
from schemas.retractions import name_of
from schemas.signals import SubmittedSignal
from schemas.values import DAY_MS, instant_ms
from stream_processors.domain.features import Features
from stream_processors.domain.leads import match_name
from stream_processors.domain.traces import FLOWS_KEPT, VICTIM_KEPT, Flow, VictimMark, flows, latest_ms, victims
from stream_processors.domain.trust import sighted
from stream_processors.state.drawers import drawer_of, long, short
from stream_processors.state.effects import Arg
from stream_processors.state.keys import bucket_of

WIDTHS = {"c": 2, "s": 3, "v": 2, "f": 3}
"""Question -> how many values its answer has (lua/observe.lua)."""


class Question(NamedTuple):
    """`args` begins with the question's name."""

    bucket: int
    args: tuple[Arg, ...]


@dataclass(slots=True)
class Seen:
    """The answers about one signal: the worst of its suspects and victims."""

    content_of: str = ""
    queues: set[str] = field(default_factory=set)
    sightings: int = 1
    institutions: int = 1
    confirmed: int = 0
    victim_events: int = 0
    contact_gap_ms: int | None = None
    same_pair: int = 0
    fan_in: int = 0
    fan_out: int = 0
    held_ms: int | None = None

    def take(self, args: tuple[Arg, ...], answer: Sequence[Any]) -> None:
        """`args` are those of the question."""
        if args[0] == "s":
            self.sightings = max(self.sightings, answer[0])
            self.institutions = max(self.institutions, answer[1])
            self.confirmed = max(self.confirmed, answer[2])
        elif args[0] == "c":
            self.content_of = long(answer[0])
            self.queues = {queue.decode() for queue in answer[1]}
        elif args[0] == "v":
            self.victim_events = max(self.victim_events, answer[0])
            self.contact_gap_ms = _shorter(self.contact_gap_ms, answer[1])
        else:
            self.same_pair = max(self.same_pair, answer[0])
            if args[2] == "i":
                self.fan_in = max(self.fan_in, answer[1])
            else:
                self.fan_out = max(self.fan_out, answer[1])
            self.held_ms = _shorter(self.held_ms, answer[2])

    def features(self, age_ms: int) -> Features:
        return Features(
            self.sightings,
            self.institutions,
            self.confirmed,
            self.victim_events,
            _seconds(self.contact_gap_ms),
            self.same_pair,
            self.fan_in,
            self.fan_out,
            _seconds(self.held_ms),
            age_ms // 1000,
        )


def questions(signal: SubmittedSignal, policy: Policy, now_ms: int) -> list[Question]:
    """All questions about a signal; of its content first."""
    keep, occurred = policy.keep, instant_ms(signal.occurred_at)
    latest = latest_ms(signal, now_ms)
    until = latest + keep.sightings_days * DAY_MS
    trim = now_ms - keep.sightings_days * DAY_MS
    since = max(0, occurred - policy.window_s * 1000)
    token, echo = match_name(signal.primary.token, signal.kind), signal.derived_from is not None
    claims_until = now_ms + keep.claims_days * DAY_MS
    name = name_of(signal.signal_id, signal.version)
    found = [Question(bucket_of(token), content_question(signal.content_id, name, claims_until, token))]
    content = "" if echo else signal.content_id
    for subject in sighted(signal):
        seen = match_name(subject.token, signal.kind)
        row = of_suspect(seen, content, signal.institution, occurred, since, trim, until, now_ms)
        found.append(Question(bucket_of(seen), row))
    found += _of_victims(signal, policy, latest, echo)
    if signal.event is not None:
        found += [Question(bucket_of(one.token), _of_flow(one, policy, until, echo)) for one in flows(signal)]
    return found


def content_question(content: str, name: str, until_ms: int, token: str) -> tuple[Arg, ...]:
    return "c", short(content), drawer_of(content), short(name), until_ms, token, drawer_of(token)


def of_suspect(
    token: str, content: str, institution: str, occurred: int, since: int, trim: int, until_ms: int, now_ms: int
) -> tuple[Arg, ...]:
    """What only goes on to Redis' commands goes as text: Lua spends more on writing a number than the command on its work."""
    return "s", token, drawer_of(token), content, institution, str(occurred), str(since), trim, until_ms, str(now_ms)


def _of_victims(signal: SubmittedSignal, policy: Policy, latest: int, echo: bool) -> Iterator[Question]:
    until = latest + policy.keep.victims_days * DAY_MS
    for mark in victims(signal):
        yield Question(bucket_of(mark.token), _of_victim(mark, policy, until, echo))


def _of_victim(mark: VictimMark, policy: Policy, until: int, echo: bool) -> tuple[Arg, ...]:
    at, contact = mark.at_ms, policy.contact_s * 1000
    earliest, latest = (at - contact, at) if mark.answer == "c" else (at, at + contact)
    before = at - policy.flows.victim_apart_s * 1000
    member = "" if echo else mark.member
    return "v", mark.token, drawer_of(mark.token), member, at, before, mark.answer, earliest, latest, VICTIM_KEPT, until


def _of_flow(flow: Flow, policy: Policy, until: int, echo: bool) -> tuple[Arg, ...]:
    """Money goes out not before it came in, and not more than came in, less what may be lost on the way."""
    amount, kept = flow.amount_minor, 1000 - policy.flows.permille_lost
    low, high = (amount, amount * 1000 // kept) if flow.way == "o" else (-(-amount * kept // 1000), amount)
    window, passing = policy.flows.window_s * 1000, policy.passing_s * 1000
    member = "" if echo else flow.member
    head = ("f", flow.token, flow.way, flow.other, flow.at_ms, window, passing)
    return *head, low, high, flow.currency, member, FLOWS_KEPT, until


def _shorter(one: int | None, other_ms: int) -> int | None:
    """-1 is the scripts' word for none."""
    if other_ms < 0:
        return one
    return other_ms if one is None else min(one, other_ms)


def _seconds(span_ms: int | None) -> int | None:
    return None if span_ms is None else span_ms // 1000
