"""Working days and lengths of time in Shanghai, by the published notices."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.deadlines import Length, OfficeHours
from schemas.holidays import Holidays
from stream_processors.domain.deadlines.calendar import Calendar, add, calendar_of, is_working_day, local_date
from stream_processors.runtime.calendar_file import SHIPPED_HOLIDAYS, CalendarError, load_holidays
from tests.support.clocks import CALENDAR, HOLIDAYS, local

SHIPPED = SHIPPED_HOLIDAYS.read_text("utf-8")


def reckoned(start: str, working: bool = False, calendar: Calendar = CALENDAR, **length: int) -> tuple[str, bool]:
    found = add(local(start), Length(**length), working=working, calendar=calendar)
    return f"{found.at.astimezone(local(start).tzinfo):%Y-%m-%d %H:%M}", found.estimated


@pytest.mark.parametrize(("year", "days"), [(2024, 251), (2025, 248), (2026, 248)])
def test_a_year_has_the_working_days_that_its_notice_gives_it(year: int, days: int) -> None:
    whole = [date.fromordinal(n) for n in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())]
    assert sum(is_working_day(day, CALENDAR) for day in whole) == days


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (date(2026, 2, 13), True),
        (date(2026, 2, 14), True),  # a Saturday, worked for the Spring Festival
        (date(2026, 2, 16), False),
        (date(2026, 2, 23), False),
        (date(2026, 2, 24), True),
        (date(2026, 3, 7), False),
        (date(2024, 2, 9), True),  # New Year's Eve of 2024 was a working day
        (date(2025, 1, 28), False),
    ],
)
def test_days_off_are_off_and_make_up_days_are_worked(day: date, works: bool) -> None:
    assert is_working_day(day, CALENDAR) is works


def test_three_working_days_end_with_the_third_day_after_the_start() -> None:
    assert reckoned("2026-03-02 09:00", working_days=3) == ("2026-03-06 00:00", False)
    assert reckoned("2026-03-02 23:59", working_days=3) == ("2026-03-06 00:00", False)


def test_working_days_pass_over_a_festival_and_count_its_make_up_days() -> None:
    assert reckoned("2026-02-13 17:00", working_days=3) == ("2026-02-26 00:00", False)
    assert reckoned("2026-09-19 10:00", working_days=1) == ("2026-09-21 00:00", False)


def test_a_start_on_a_day_off_begins_to_count_with_the_next_working_day() -> None:
    assert reckoned("2026-10-02 12:00", working_days=1) == ("2026-10-09 00:00", False)


def test_hours_run_from_the_instant_through_nights_and_festivals() -> None:
    assert reckoned("2026-02-15 22:30", hours=48) == ("2026-02-17 22:30", False)


def test_hours_in_the_working_calendar_run_in_office_hours_only() -> None:
    assert reckoned("2026-03-02 17:00", working=True, hours=2) == ("2026-03-03 09:30", False)
    assert reckoned("2026-03-02 06:00", working=True, minutes=30) == ("2026-03-02 09:00", False)
    assert reckoned("2026-03-02 17:00", working=True, hours=1) == ("2026-03-02 18:00", False)
    assert reckoned("2026-03-06 18:00", working=True, seconds=1)[0] == "2026-03-09 08:30"


def test_months_end_with_the_day_of_the_same_number_or_the_months_last() -> None:
    assert reckoned("2026-01-15 10:00", months=6) == ("2026-07-16 00:00", False)
    assert reckoned("2025-08-31 10:00", months=6) == ("2026-03-01 00:00", False)
    assert reckoned("2023-12-31 10:00", months=2) == ("2024-03-01 00:00", False)


def test_a_last_day_that_is_off_moves_on_in_the_working_calendar_only() -> None:
    assert reckoned("2026-01-18 10:00", days=30) == ("2026-02-18 00:00", False)
    assert reckoned("2026-01-18 10:00", working=True, days=30) == ("2026-02-25 00:00", False)


def test_the_days_are_those_of_the_place_not_of_utc() -> None:
    assert local_date(local("2026-03-02 00:30")) == date(2026, 3, 2)
    assert reckoned("2026-03-02 00:30", working_days=1) == ("2026-03-04 00:00", False)


def test_a_year_without_its_notice_has_weekends_only_and_what_is_reckoned_by_it_is_marked() -> None:
    assert reckoned("2026-12-30 09:00", working_days=1) == ("2027-01-01 00:00", False)
    assert reckoned("2026-12-31 09:00", working_days=1) == ("2027-01-02 00:00", True)
    assert reckoned("2026-12-31 17:30", working=True, hours=1) == ("2027-01-01 09:00", True)
    assert reckoned("2026-12-01 09:00", days=31) == ("2027-01-02 00:00", False), "elapsed days need no notice"


def test_a_notice_that_nobody_confirmed_counts_and_what_is_reckoned_by_it_is_marked() -> None:
    year = HOLIDAYS.years[2026].model_copy(update={"needs_confirmation": True})
    calendar = calendar_of(Holidays(years={2026: year}), OfficeHours())
    assert reckoned("2026-02-13 17:00", working_days=3, calendar=calendar) == ("2026-02-26 00:00", True)


def test_every_shipped_year_names_its_notice_and_two_sources() -> None:
    assert set(HOLIDAYS.years) == {2024, 2025, 2026}
    assert all("国办发明电" in year.notice and len(year.sources) >= 2 for year in HOLIDAYS.years.values())
    assert not any(year.needs_confirmation for year in HOLIDAYS.years.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "cannot read"),
        ("", "not valid"),
        (SHIPPED.replace("2026-02-14", "2026-02-16"), "2026-02-16 is both a day off and a working day"),
        (SHIPPED.replace("2026-02-14", "2026-02-12"), "2026-02-12 is not on a weekend"),
        (SHIPPED.replace("first: 2026-06-19, last: 2026-06-21", "first: 2026-06-21, last: 2026-06-19"), "端午节"),
        (SHIPPED.replace("first: 2026-06-19, last: 2026-06-21", "first: 2027-06-19, last: 2027-06-21"), "notice of 2026"),
        (SHIPPED.replace("first: 2026-04-04", "first: 2026-04-31"), "day is out of range"),
        (SHIPPED.replace("first: 2026-04-04", "first: April"), r"years\.2026\.breaks\.2\.first"),
        (
            SHIPPED.replace("first: 2026-04-04, last: 2026-04-06", "first: 2026-02-23, last: 2026-02-24"),
            "2026-02-23 occurs twice",
        ),
    ],
)
def test_a_calendar_that_is_not_right_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "calendar.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(CalendarError, match=said) as error:
        load_holidays(path)
    assert str(path) in str(error.value)


def test_a_calendar_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match="cannot read the calendar"):
        load_holidays(tmp_path / "none.yaml")


def test_a_day_off_that_another_years_notice_gives_cannot_be_worked() -> None:
    data: dict[str, Any] = yaml.safe_load(SHIPPED)
    data["years"][2026]["breaks"].append({"name": "x", "first": "2025-12-27", "last": "2025-12-28"})
    data["years"][2025]["work"].append("2025-12-27")
    with pytest.raises(ValueError, match="2025-12-27 is both a day off and a working day"):
        Holidays.model_validate(data)
