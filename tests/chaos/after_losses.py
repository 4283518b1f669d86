"""What the log still tells of signals and retractions that it has lost, and of what one case handed over to another.

After a loss a signal may be left by nothing but its join, a retraction by nothing but what it did to a case: both stay. Of merges
and splits both halves count or none (stream_processors/agents/lost_causes.py), but for those that nothing can mend: the case that
took something in has it in a change that stands, and the case that gave it has lost the command and its change. What was handed
over counts in both then. Invariant: nothing is excused of which the log does not say why.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from schemas.envelope import Origin
from schemas.notifications.delivery import MOST_FOLLOWS
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.signals.retraction import name_of, source_of_join
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, SUBMITTED
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.log import Record

HOLDING = (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT, AssessOutcome.RETRACTED)
"""Of a fact that decides on a version of a signal, and holds its reference."""
_NAME = re.compile(r"sig-[\w-]{22}(?:/\d+)?")
_Place = tuple[int, int]


class Trace(NamedTuple):
    """What is left of a join or a retraction. `name`: the signal, with its version where that is not the first; `source`: where a
    joined signal stood."""

    kind: str
    name: str
    queue: str
    case_id: str
    source: _Place | None


def settle_losses(
    joined: dict[str, set[str]], traces: Iterable[Trace], submitted: Iterable[Record], counting: Sequence[AssessedSignal]
) -> None:
    """Adds what only its join tells of. Takes out what was taken back, of the case of that queue alone: for another the same
    retraction may be lost."""
    there = {(record.partition, record.offset) for record in submitted}
    decided = {name_of(str(fact.signal_id), fact.version) for fact in counting}
    sent = {
        (name_of(str(fact.signal_id), fact.version), route.queue): route.case_id for fact in counting for route in fact.routes
    }
    taken_back: set[tuple[str, str]] = set()
    for trace in traces:
        if trace.kind == "retract":
            taken_back.add((trace.name, trace.queue))
            continue
        joined[trace.case_id] |= set()
        if trace.source not in there and trace.name not in decided:
            sent[trace.name, trace.queue] = trace.case_id
            joined[trace.case_id].add(_with_version(trace.name))
    for about in taken_back & sent.keys():
        joined[sent[about]].discard(_with_version(about[0]))


def read_traces(commands: Iterable[Record], changes: Iterable[Record]) -> Iterator[Trace]:
    """By the commands and by the applied changes. A command that a case sent on tells nothing: it counts if its cause does."""
    for record in commands:
        with contextlib.suppress(ValueError, KeyError):
            envelope = orjson.loads(record.value or b"")
            origin = Origin.parse(envelope.get("origin") or "")
            if origin.topic != CASE_CHANGES.name:
                source = (origin.partition, origin.offset) if origin.topic == SUBMITTED.name else None
                yield from _trace(envelope["data"], source)
    for record in changes:
        with contextlib.suppress(ValueError, KeyError):
            change = orjson.loads(record.value or b"")["data"]
            if change["outcome"] == "applied" and not change.get("follow_ups"):
                source_of = source_of_join(change.get("origin"))
                yield from _trace(change, None if source_of is None else source_of[:2])


def _trace(told: Mapping[str, Any], source: _Place | None) -> Iterator[Trace]:
    key = str(told["action_id"]).partition("-")[2]
    if told["kind"] in ("join", "retract") and (name := _NAME.match(key)):
        yield Trace(told["kind"], name[0], key[name.end() + 1 :], told["case_id"], source)


def _with_version(name: str) -> str:
    return name if "/" in name else f"{name}/1"


class HalfLost(NamedTuple):
    """What a case holds that another one, which has lost that, holds too: how many signals, and those that are listed."""

    count: int
    names: frozenset[str]


def find_half_lost(changes: Iterable[Record], generations: Generations) -> dict[str, HalfLost]:
    """By case. What counts is a change that stood when the loss was recovered, of a cause that was lost and that no change asks
    for any more. Whatever was decided since then is not excused."""
    counting = list(_counting(changes))
    asked = {(sent["case_id"], sent["action_id"]) for _, change in counting for sent in change.get("follow_ups") or ()}
    before: dict[str, dict[str, Any]] = defaultdict(dict)
    counts: Counter[str] = Counter()
    names: dict[str, set[str]] = defaultdict(set)
    for record, change in counting:
        case, last = change.get("case"), before[change["case_id"]]
        if not case or change["outcome"] != "applied":
            continue
        before[change["case_id"]] = case
        is_taken_in = change["kind"] in ("absorb", "join") and (change["case_id"], change["action_id"]) not in asked
        if is_taken_in and _stood_alone(record, change.get("origin") or "", generations):
            counts[case["case_id"]] += max(0, case["signal_count"] - last.get("signal_count", 0))
            names[case["case_id"]] |= _listed(case) - _listed(last)
    return {case_id: HalfLost(count, frozenset(names[case_id])) for case_id, count in counts.items()}


def _counting(changes: Iterable[Record]) -> Iterator[tuple[Record, dict[str, Any]]]:
    """The first change of each command, in the order of its partition."""
    seen: set[str] = set()
    for record in changes:
        with contextlib.suppress(ValueError, KeyError):
            envelope = orjson.loads(record.value or b"")
            if (
                envelope["origin"].startswith(CASE_COMMANDS.name)
                and envelope["origin"] not in seen
                and envelope["data"]["case_id"]
            ):
                seen.add(envelope["origin"])
                yield record, envelope["data"]


def _stood_alone(record: Record, origin: str, generations: Generations) -> bool:
    source, _, number = origin.partition(":")
    if not source.startswith("c"):
        return False
    p, position = int(source[1:]), (int(number) - 1) // MOST_FOLLOWS
    recovered_ms = max((one.opened_ms for one in generations.all_of(CASE_CHANGES.name, p)), default=0)
    return generations.is_lost(CASE_CHANGES.name, p, position) and record.timestamp_ms < recovered_ms


def _listed(case: Mapping[str, Any]) -> set[str]:
    return {f"{signal['signal_id']}/{signal.get('version', 1)}" for signal in case.get("signals") or ()}
