"""The members of a change that the scorecards' projection reads: counts before and after it; and the base of all rows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

Utc = Annotated[datetime, msgspec.Meta(tz=True)]
Named = Annotated[str, msgspec.Meta(max_length=200)]
"""Longest name in a key or member in Redis, where its length is one byte."""


class Row(msgspec.Struct):
    """Base: unknown members are ignored."""


class CoreRow(Row):
    unit: Named
    opened_at: Utc
    emptied: bool = False
    disposed_at: Utc | None = None
    disposition: str | None = None
    institutions: tuple[Named, ...] = ()


class DeadlineFiguresRow(Row):
    name: str
    party: Named
    state: str
    started_at: Utc
    due_at: Utc
    stopped_at: Utc | None = None
    late: bool | None = None


class OrderFiguresRow(Row):
    kind: str
    recipient: Named
    state: str
    issued_at: Utc | None = None
    executed_at: Utc | None = None
    late: bool = False
    overdue: bool = False
    held_minor: int = 0
    paid_minor: int = 0
    currency: str | None = None


class MeasureFiguresRow(Row):
    institution: Named
    kind: str
    recorded_at: Utc
    amount_minor: int | None = None
    currency: str | None = None


class CampaignFiguresRow(Row):
    institution: Named
    held_at: Utc
    people_reached: int
    withdrawn: bool = False


class DataFiguresRow(Row):
    unit: Named
    due_at: Utc
    submitted_at: Utc | None = None
    finding: str | None = None
    withdrawn: bool = False


class FiguresRow(Row):
    """A view of Figures: the countable parts."""

    case: CoreRow | None = None
    deadlines: tuple[DeadlineFiguresRow, ...] = ()
    orders: tuple[OrderFiguresRow, ...] = ()
    measures: tuple[MeasureFiguresRow, ...] = ()
    campaigns: tuple[CampaignFiguresRow, ...] = ()
    data: tuple[DataFiguresRow, ...] = ()


class CountedRow(Row):
    before: FiguresRow
    after: FiguresRow
