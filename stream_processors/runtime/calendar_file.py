"""Reads and validates the data file of days off. The error for an invalid file lists every fault."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from schemas.holidays import Holidays

SHIPPED_HOLIDAYS = Path(__file__).parents[1] / "policies" / "holidays-cn.yaml"


class CalendarError(ValueError):
    """The calendar file cannot be used; the message names the file and every fault."""


def load_holidays(path: Path = SHIPPED_HOLIDAYS) -> Holidays:
    """The years of a YAML file (`schemas/holidays.py`). CalendarError if it is unreadable or incomplete."""
    try:
        return Holidays.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except ValidationError as error:
        lines = [f"  {'.'.join(str(part) for part in fault['loc']) or 'calendar'}: {fault['msg']}" for fault in error.errors()]
        raise CalendarError(f"the calendar {path} is not valid:\n" + "\n".join(lines)) from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        # ValueError: bytes that are no UTF-8, and a date that there is not, which YAML's reader says of its own.
        raise CalendarError(f"cannot read the calendar {path}: {error}") from error
