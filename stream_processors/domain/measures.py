"""Adds an institution's measure to its case: deadlines that it stops and starts, and whether it is late. Pure.

Invariant: a measure counts once; nobody's measures displace those of another institution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.measures import Measure, MeasureKind, Reaction
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop, done_between, iso

MOST_MEASURES = 64
MOST_AN_HOUR = 12
"""Measures of one institution in one case within an hour. Each one makes a new revision of the case and may notify everybody in
it. Without a limit one institution could keep officers, who act on a revision, from working on the case."""
WARN, BLOCK, REPORT, SUSPICIOUS = "warn", "block", "report", "suspicious_report"


class Duty(NamedTuple):
    """The duty that a kind of measure fulfils (`also`: another one while it runs), and the duty it starts if that never ran."""

    fulfils: str
    next: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def ended(self, running: Collection[str]) -> tuple[str, ...]:
        """The deadlines that a measure ends: all running ones; if none runs, its own is asked for in vain."""
        return tuple(name for name in (self.fulfils, *self.also) if name in running) or (self.fulfils,)


TABLE: dict[MeasureKind, Duty] = {
    MeasureKind.WARNED: Duty(WARN, (REPORT,)),
    MeasureKind.BLOCKED: Duty(BLOCK, (REPORT,)),
    MeasureKind.REPORTED: Duty(REPORT, also=(SUSPICIOUS,)),
}
"""Art. 22: warn, block, report. A warning that did not help makes a block due as well. A report after the case was confirmed is
also the suspicious transaction report (PBoC rules on large and suspicious transactions)."""
_NOT_COMPARED = ("recorded_at", "late", "done_late", "note_sealed", "agency_reference_sealed")
_DID_NOT_HELP = frozenset({Reaction.INSISTED, Reaction.NOT_REACHED})


class MeasureChange(NamedTuple):
    """The case's measures afterwards. `echo`: it was there already. `measure`: as recorded. Refusal: nothing changed."""

    measures: tuple[Measure, ...]
    measure: Measure | None = None
    starts: tuple[DeadlineStart, ...] = ()
    stops: tuple[DeadlineStop, ...] = ()
    echo: bool = False
    refused: Refusal | None = None


def add(
    *,
    measures: tuple[Measure, ...],
    measure: Measure,
    due_at: Mapping[str, datetime],
    now: datetime,
    running: Collection[str] = (),
) -> MeasureChange:
    """Decides on the measure. `due_at`: deadline name -> due time of this institution's deadline in this case, ended and stopped
    ones included; `running`: the outstanding ones. Reported amounts play no part, because the response would reveal them to the
    sender."""
    there = next((earlier for earlier in measures if earlier.measure_id == measure.measure_id), None)
    if there is not None:
        return _compare_again(measures, there, measure)
    done_at = done_between(measure.done_at, None, now)
    if done_at is None:
        detail = f"'done_at' is {iso(measure.done_at)}, which is after {iso(now)}"
        return MeasureChange(measures, refused=Refusal("time-out-of-range", detail))
    recent = sum(
        earlier.institution == measure.institution and earlier.recorded_at > now - timedelta(hours=1) for earlier in measures
    )
    if recent >= MOST_AN_HOUR:
        detail = f"you reported {recent} measures in this case within an hour; the limit is {MOST_AN_HOUR}, so retry later"
        return MeasureChange(measures, refused=Refusal("too-many-measures", detail))
    duty = TABLE[measure.kind]
    ended = duty.ended(running)
    due = min((due_at[name] for name in ended if name in due_at), default=None)
    marks = {"recorded_at": now, "late": due is not None and now > due, "done_late": due is not None and done_at > due}
    marked = measure.model_copy(update=marks)
    due_next = (*duty.next, BLOCK) if measure.reaction in _DID_NOT_HELP else duty.next
    starts = tuple(DeadlineStart(name, measure.institution) for name in due_next if name not in due_at)
    stops = tuple(DeadlineStop(name, measure.institution) for name in ended)
    return MeasureChange(_bound_measures((*measures, marked)), marked, starts, stops)


def is_above_reported(measure: Measure, reported_minor: Mapping[str, int]) -> bool:
    """Whether the measure holds more than all reports of the case name in its currency. Without any amount in the case nothing is
    known. For officers only: the sender of a measure could find the sum by trying amounts."""
    if not reported_minor or measure.currency is None or measure.amount_minor is None:
        return False
    return measure.amount_minor > reported_minor.get(measure.currency, 0)


def pooled(measures: tuple[Measure, ...], more: tuple[Measure, ...]) -> tuple[Measure, ...]:
    """The measures of two cases in order of arrival; each once."""
    each = {measure.measure_id: measure for measure in (*more, *measures)}
    combined = tuple(sorted(each.values(), key=lambda measure: (measure.recorded_at, measure.measure_id)))
    while len(combined) > MOST_MEASURES:
        combined = _bound_measures(combined)
    return combined


def _compare_again(measures: tuple[Measure, ...], there: Measure, measure: Measure) -> MeasureChange:
    """Equal members are a redelivery; sealed bytes differ each time, so they are not compared."""
    marks = {name: getattr(there, name) for name in _NOT_COMPARED}
    if measure.model_copy(update=marks) == there:
        return MeasureChange(measures, there, echo=True)
    return MeasureChange(measures, refused=Refusal("reference-reused", "you used this reference for another measure"))


def _bound_measures(measures: tuple[Measure, ...]) -> tuple[Measure, ...]:
    """Above the limit the oldest of the party with the most is dropped."""
    if len(measures) <= MOST_MEASURES:
        return measures
    most = Counter(measure.institution for measure in measures).most_common(1)[0][0]
    removed = next(number for number, measure in enumerate(measures) if measure.institution == most)
    return measures[:removed] + measures[removed + 1 :]
