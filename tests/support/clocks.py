"""Builders for clocks: the shipped calendar, a small set of rules, and a case's clocks played step by step."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from schemas.deadlines import Deadline, Deadlines, OfficeHours
from stream_processors.domain.deadlines import deadlines as domain
from stream_processors.domain.deadlines.calendar import SHANGHAI, Calendar, calendar_of
from stream_processors.runtime.calendar_file import load_holidays
from tests.support.builders import POLICY, T0

HOLIDAYS = load_holidays()
CALENDAR: Calendar = calendar_of(HOLIDAYS, OfficeHours())
SHIPPED: Deadlines = POLICY.deadlines

RULES = Deadlines.model_validate(
    {
        "rules": [
            {
                "name": "block",
                "length": {"minutes": 30},
                "basis": "Art. 22",
                "warn_before": {"minutes": 10},
                "notify": ["public-security"],
                "escalate": [{"to": "unit_head", "after": {"minutes": 30}}, {"to": "city", "after": {"hours": 2}}],
            },
            {"name": "warn", "length": {"minutes": 10}, "basis": "Art. 22"},
            {"name": "answer", "length": {"working_days": 3}, "basis": "Art. 48", "warn_before": {"hours": 15}},
        ]
    }
)


def local(text: str) -> datetime:
    """`2026-02-13 17:00` in Shanghai."""
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def started(clocks: tuple[Deadline, ...] = (), name: str = "block", now: datetime = T0, **over: Any) -> tuple[Deadline, ...]:
    """The clocks with one more running."""
    fixed = {"rules": over.pop("rules", RULES), "calendar": over.pop("calendar", CALENDAR)}
    return domain.start(clocks, domain.DeadlineRequest(name, **over), now=now, **fixed).clocks


def fallen(clocks: tuple[Deadline, ...], now: datetime, name: str = "block", run: int = 1, **over: Any) -> domain.FiredClock:
    """The next step of a run falls due."""
    step = next((one.step for one in clocks if (one.name, one.run) == (name, run)), None)
    return domain.due(clocks, **{"name": name, "run": run, "step": step or "due", "rules": RULES, "now": now, **over})
