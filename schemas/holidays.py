"""Days off and make-up working days (放假调休) of a year, as the State Council publishes them: the model of the data file.

Invariant: no day is both off and worked, and a make-up working day (上班) is a Saturday or Sunday.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from schemas.common import Strict

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_DAY = timedelta(days=1)
SATURDAY = 5


class Break(Strict):
    """Days off from the first to the last, both included."""

    name: Text
    first: date
    last: date

    @model_validator(mode="after")
    def _span(self) -> Break:
        if not 0 <= (self.last - self.first).days < 15:
            raise ValueError(f"{self.name}: {self.first} to {self.last} must be 1 to 15 days")
        return self

    @property
    def days(self) -> Iterator[date]:
        return (self.first + n * _DAY for n in range((self.last - self.first).days + 1))


class HolidayYear(Strict):
    """One notice. `needs_confirmation`: it was not checked against two copies, and results computed with it are marked."""

    notice: Text
    issued: date
    sources: Annotated[tuple[Text, ...], Field(min_length=1, max_length=8)]
    needs_confirmation: bool = True
    breaks: Annotated[tuple[Break, ...], Field(min_length=1, max_length=16)]
    work: Annotated[tuple[date, ...], Field(max_length=32)] = ()

    @model_validator(mode="after")
    def _check_days(self) -> HolidayYear:
        off = [day for holiday in self.breaks for day in holiday.days]
        if twice := sorted({day for day in off if off.count(day) > 1} | {day for day in self.work if self.work.count(day) > 1}):
            raise ValueError(f"{twice[0]} occurs twice")
        if both := sorted(set(off) & set(self.work)):
            raise ValueError(f"{both[0]} is both a day off and a working day")
        if odd := [day for day in self.work if day.weekday() < SATURDAY]:
            raise ValueError(f"{odd[0]} is not on a weekend; a make-up working day must be a Saturday or Sunday")
        return self


class Holidays(Strict):
    """The data file: the known years. All others have weekends only."""

    years: dict[int, HolidayYear]

    @model_validator(mode="after")
    def _years(self) -> Holidays:
        off = {day for notice in self.years.values() for holiday in notice.breaks for day in holiday.days}
        for year, notice in self.years.items():
            days = [*(day for holiday in notice.breaks for day in holiday.days), *notice.work]
            # A notice may reach back into the last days of the year before it.
            if wrong := sorted(day for day in days if not date(year - 1, 12, 20) <= day <= date(year, 12, 31)):
                raise ValueError(f"the notice of {year} contains {wrong[0]}")
            if both := sorted(off & set(notice.work)):
                raise ValueError(f"{both[0]} is both a day off and a working day")
        return self
