"""Reckoning against a slow reading of the same notices, day by day and five minutes by five minutes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.deadlines import Length
from stream_processors.domain.deadlines.calendar import SHANGHAI, add, local_date
from stream_processors.runtime.calendar_file import SHIPPED_HOLIDAYS
from tests.support.clocks import CALENDAR

PLACE = ZoneInfo("Asia/Shanghai")
NOTICES = yaml.safe_load(SHIPPED_HOLIDAYS.read_text("utf-8"))["years"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY, FIVE = timedelta(days=1), timedelta(minutes=5)


def _moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Instants of these years, both included."""
    begin, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (first, last + 1))
    return st.integers(begin * 10**6, end * 10**6 - 1).map(lambda us: EPOCH + timedelta(microseconds=us))


MOMENT = _moments(2024, 2026).filter(lambda one: one < datetime(2026, 11, 30, tzinfo=UTC))
COUNT = st.integers(1, 60)
UNIT = st.sampled_from(["seconds", "minutes", "hours", "days", "working_days", "months"])


def works(day: date) -> bool:
    """As a clerk reads it: the notice first, then the day of the week."""
    for year in NOTICES.values():
        if day in year["work"]:
            return True
        if any(part["first"] <= day <= part["last"] for part in year["breaks"]):
            return False
    return day.strftime("%a") not in ("Sat", "Sun")


@given(MOMENT, COUNT)
def test_working_days_end_when_so_many_whole_ones_have_passed(moment: datetime, days: int) -> None:
    end = add(moment, Length(working_days=days), working=True, calendar=CALENDAR).at.astimezone(PLACE)
    assert (end.hour, end.minute, end.second, end.microsecond) == (0, 0, 0, 0)
    passed, day = [], moment.astimezone(PLACE).date() + DAY
    while day < end.date():
        passed.append(day)
        day += DAY
    assert sum(map(works, passed)) == days and works(passed[-1])


@settings(max_examples=50)
@given(st.integers(0, 1000 * 288), st.integers(1, 600))
def test_office_time_ends_when_so_many_minutes_of_it_have_passed(start: int, fives: int) -> None:
    moment = datetime(2024, 1, 1, tzinfo=SHANGHAI) + start * FIVE
    found = add(moment, Length(minutes=fives * 5), working=True, calendar=CALENDAR).at
    left, now = fives, moment
    while left:
        left -= works(now.date()) and 8 * 60 + 30 <= now.hour * 60 + now.minute < 18 * 60
        now += FIVE
    assert found == now


@given(MOMENT, UNIT, st.integers(1, 13), st.booleans())
def test_what_is_reckoned_lies_after_its_start_and_more_is_never_sooner(
    moment: datetime, unit: str, count: int, working: bool
) -> None:
    less = add(moment, Length(**{unit: count}), working=working, calendar=CALENDAR)
    if count < 13:
        more = add(moment, Length(**{unit: count + 1}), working=working, calendar=CALENDAR)
        assert more.at >= less.at
        assert more.estimated or not less.estimated
    assert less.at > moment and less.at.tzinfo is UTC
    later = add(moment + timedelta(hours=7), Length(**{unit: count}), working=working, calendar=CALENDAR)
    assert later.at >= less.at


@given(MOMENT, st.integers(1, 13), st.sampled_from(["days", "months"]))
def test_in_the_working_calendar_a_last_day_is_worked_and_the_first_such(moment: datetime, count: int, unit: str) -> None:
    plain = add(moment, Length(**{unit: count}), working=False, calendar=CALENDAR).at
    found = add(moment, Length(**{unit: count}), working=True, calendar=CALENDAR)
    first, last = local_date(plain) - DAY, local_date(found.at) - DAY
    between = [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal())]
    assert works(last) and not any(map(works, between))


@given(_moments(1992, 2099))
def test_the_fixed_offset_is_that_of_the_place(moment: datetime) -> None:
    assert moment.astimezone(SHANGHAI).replace(tzinfo=None) == moment.astimezone(PLACE).replace(tzinfo=None)
