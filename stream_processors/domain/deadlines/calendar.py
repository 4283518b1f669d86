"""Computes lengths of time in Asia/Shanghai: elapsed time, days, months, working days and office hours. Pure.

The local time has been UTC+8 without a change since the last summer time ended in September 1991, so a fixed offset is exact for
every instant here (all are of 2000 or later) and a day has 24 hours. Invariant: a computed instant is after its start. An instant
that depends on a year without a confirmed notice of days off is marked `estimated`. Such a year has weekends only: a deadline
must run, so a missing notice never stops one.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import NamedTuple

from schemas.deadlines import Length, OfficeHours
from schemas.holidays import SATURDAY, Holidays

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
_DAY = timedelta(days=1)


class Calendar(NamedTuple):
    """Days off and make-up working days; `years`: those with a confirmed notice; office hours in seconds of a day."""

    off: frozenset[date]
    work: frozenset[date]
    years: frozenset[int]
    opens_s: int
    closes_s: int


class Reckoned(NamedTuple):
    """`at` in UTC."""

    at: datetime
    estimated: bool


def calendar_of(holidays: Holidays, office: OfficeHours) -> Calendar:
    """The calendar of the data file and the policy's office hours, cached until one of them changes."""
    years = holidays.years.values()
    opens_s, closes_s = office.span_s
    return Calendar(
        off=frozenset(day for year in years for part in year.breaks for day in part.days),
        work=frozenset(day for year in years for day in year.work),
        years=frozenset(number for number, year in holidays.years.items() if not year.needs_confirmation),
        opens_s=opens_s,
        closes_s=closes_s,
    )


def local_date(moment: datetime) -> date:
    return moment.astimezone(SHANGHAI).date()


def is_working_day(day: date, calendar: Calendar) -> bool:
    """Monday to Friday without the days off, and the make-up working days. In a year without a notice: Monday to Friday."""
    return day in calendar.work or (day.weekday() < SATURDAY and day not in calendar.off)


def _start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)


def _end_of(day: date) -> datetime:
    """24:00 of the day."""
    return _start_of(day + _DAY).astimezone(UTC)


def add_working_days(moment: datetime, days: int, calendar: Calendar) -> Reckoned:
    """The end of the n-th working day after the moment's own day, which does not count (Civil Code 201, 203)."""
    day, estimated = local_date(moment), False
    while days:
        day += _DAY
        estimated |= day.year not in calendar.years
        days -= is_working_day(day, calendar)
    return Reckoned(_end_of(day), estimated)


def add_working_time(moment: datetime, seconds: int, calendar: Calendar) -> Reckoned:
    """The moment after this many seconds of office hours on working days. Noon is not excluded."""
    remaining, day, estimated = timedelta(seconds=seconds), local_date(moment), False
    while True:
        estimated |= day.year not in calendar.years
        if is_working_day(day, calendar):
            midnight = _start_of(day)
            begins = max(moment, midnight + timedelta(seconds=calendar.opens_s))
            room = max(timedelta(), midnight + timedelta(seconds=calendar.closes_s) - begins)
            if remaining <= room:
                return Reckoned((begins + remaining).astimezone(UTC), estimated)
            remaining -= room
        day += _DAY


def _last_day(day: date, working: bool, calendar: Calendar) -> Reckoned:
    """The end of the day; in the working calendar, of the next working day if it is a day off (Civil Code 203)."""
    estimated = working and day.year not in calendar.years
    while working and not is_working_day(day, calendar):
        day += _DAY
        estimated |= day.year not in calendar.years
    return Reckoned(_end_of(day), estimated)


def _add_exact(moment: datetime, length: Length, working: bool, calendar: Calendar) -> Reckoned:
    seconds = length.exact_s or 0
    if working:
        return add_working_time(moment, seconds, calendar)
    return Reckoned((moment + timedelta(seconds=seconds)).astimezone(UTC), False)


def _add_days(moment: datetime, length: Length, working: bool, calendar: Calendar) -> Reckoned:
    return _last_day(local_date(moment) + length.count * _DAY, working, calendar)


def _working_days(moment: datetime, length: Length, working: bool, calendar: Calendar) -> Reckoned:
    return add_working_days(moment, length.count, calendar)


def _add_months(moment: datetime, length: Length, working: bool, calendar: Calendar) -> Reckoned:
    """The day of the same number, else the month's last (Civil Code 202)."""
    start = local_date(moment)
    years, month = divmod(start.month - 1 + length.count, 12)
    year = start.year + years
    last = date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))
    return _last_day(last, working, calendar)


_BY_UNIT: dict[str, Callable[[datetime, Length, bool, Calendar], Reckoned]] = {
    "seconds": _add_exact,
    "minutes": _add_exact,
    "hours": _add_exact,
    "days": _add_days,
    "working_days": _working_days,
    "months": _add_months,
}


def add(moment: datetime, length: Length, *, working: bool, calendar: Calendar) -> Reckoned:
    """The moment after the length (`DeadlineRule.working` and `Length` define what counts)."""
    return _BY_UNIT[length.unit](moment, length, working, calendar)
