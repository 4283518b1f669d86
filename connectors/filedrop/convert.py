"""Converts the cells of a row into the body of a signal. Pure; a fault names the column, and nothing is guessed.

Invariant: money is exact (Decimal, no rounding), times are aware, and an unknown value of a translated column is a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.filedrop.mapping import (
    EndCell,
    EventMap,
    IndicatorCell,
    MappedCell,
    MappingFile,
    Money,
    ReferenceCell,
    TimeCell,
    UrlsCell,
    Whole,
)
from connectors.filedrop.times import TimeFault, read_epoch, read_form, read_iso
from schemas.currencies import CURRENCIES, read_written
from schemas.signals.amount_text import read_amount

Cells = Mapping[str, Any]


class RowFault(ValueError):
    """The fault that makes a row invalid: the column and a sentence."""


def converter(mapping: MappingFile, file_name: str) -> Callable[[Cells, int, str], dict[str, Any]]:
    """Returns `body(cells, row number, hash of the row)`, which raises RowFault for an invalid row."""

    def body(cells: Cells, number: int, row_hash: str) -> dict[str, Any]:
        signal: dict[str, Any] = {
            "reference": _read_reference(mapping.reference, cells, file_name, number, row_hash),
            "kind": _read_value(mapping.kind, cells),
            "occurred_at": _read_moment(mapping.occurred_at, cells, mapping.timezone),
            "region": _read_value(mapping.region, cells),
            "indicators": [indicator for cell in mapping.indicators for indicator in _read_indicators(cell, cells)],
        }
        for name in _MORE:
            if (part := getattr(mapping, name)) is not None and (value := _read_part(part, cells, mapping.timezone)) is not None:
                signal[name] = value
        if mapping.event is not None and (event := _read_event(mapping.event, cells, mapping.timezone)) is not None:
            signal["event"] = event
        return signal

    return body


_MORE = ("amount", "narrative", "typology", "stage", "loss", "detected_at", "derived_from", "version")
"""Members of a signal, besides its event."""


def _read_part(part: Any, cells: Cells, zone: str) -> Any:
    """Returns the value of any part of a mapping; None if its cell is empty and optional."""
    if isinstance(part, Money):
        return _read_amount(part, cells)
    if isinstance(part, TimeCell):
        return None if part.optional and not text_of(cells, part.column, optional=True) else _read_moment(part, cells, zone)
    if isinstance(part, Whole):
        return _read_whole_number(part, cells)
    if isinstance(part, EndCell):
        role = {} if part.role is None else {"role": part.role}
        return {"kind": part.kind.value, "value": text_of(cells, part.column), **role}
    if isinstance(part, UrlsCell):
        return [url.strip() for url in text_of(cells, part.column, optional=True).split(part.split) if url.strip()] or None
    return _read_value(part, cells) or None


def _read_event(event: EventMap, cells: Cells, zone: str) -> dict[str, Any] | None:
    """Returns the event of a row; None if the row has none."""
    if not all(text_of(cells, column, optional=True) for column in event.only_with):
        return None
    fields: dict[str, Any] = {"type": event.type}
    for name in type(event).model_fields.keys() - {"type", "only_with"}:
        if (part := getattr(event, name)) is not None and (value := _read_part(part, cells, zone)) is not None:
            fields[name] = value
    if event.type == "transfer" and "amount" not in fields:
        raise RowFault(f"{event.amount.column}: empty, but a transfer requires an amount")
    return fields


def _read_whole_number(cell: Whole, cells: Cells) -> int | None:
    text = text_of(cells, cell.column, optional=True)
    if text and not (text.isascii() and text.isdigit() and len(text) < 16):
        raise RowFault(f"{cell.column}: {text[:40]!r} is not a whole number")
    return int(text) if text else None


def text_of(cells: Cells, column: str, *, optional: bool = False) -> str:
    """Returns the cell as text, stripped; '' only if it is optional."""
    value = _look_up_column(cells, column)
    if value is None or value == "":
        if optional:
            return ""
        raise RowFault(f"{column}: empty" if column in cells else f"{column}: no such column or member")
    if isinstance(value, (bool, list, dict)):
        raise RowFault(f"{column}: expected a text or a number")
    text = str(value).strip()
    if not text and not optional:
        raise RowFault(f"{column}: empty")
    return text


def _look_up_column(cells: Cells, column: str) -> Any:
    """Returns the value of a column: a member with just that name, else the one at the end of a dotted path."""
    value = cells.get(column)
    if "." not in column:
        return value
    inner: Any = cells
    for part in column.split("."):
        inner = inner.get(part) if isinstance(inner, Mapping) else None
    if column not in cells:
        return inner
    if inner is not None:
        raise RowFault(f"{column}: occurs twice, as one member and as a path into objects")
    return value


def _read_value(cell: MappedCell, cells: Cells) -> str | None:
    if cell.column is None:
        return cell.constant
    text = text_of(cells, cell.column, optional=cell.optional or cell.otherwise is not None)
    if cell.translate is not None:
        translated = cell.translate.get(text, cell.otherwise)
        if translated is None and not (cell.optional and not text):
            raise RowFault(f"{cell.column}: {text[:40]!r} is not in the table of the mapping")
        return translated
    return text or cell.otherwise


def _read_reference(cell: ReferenceCell, cells: Cells, file_name: str, number: int, row_hash: str) -> str:
    if cell.column is not None:
        return cell.prefix + text_of(cells, cell.column)
    return f"{cell.prefix}{file_name}#{number}-{row_hash}"


def _read_moment(cell: TimeCell, cells: Cells, zone: str) -> str:
    text = text_of(cells, cell.column)
    number = _look_up_column(cells, cell.column)
    try:
        if cell.format in ("epoch_s", "epoch_ms"):
            moment = read_epoch(number if isinstance(number, Decimal) else text, cell.format)
        elif cell.format == "iso":
            moment = read_iso(text)
        else:
            moment = read_form(text, cell.format)
    except (ValueError, OverflowError) as error:
        reason = f" ({error})" if isinstance(error, TimeFault) else ""
        raise RowFault(f"{cell.column}: {text[:40]!r} is not a time of the form {cell.format}{reason}") from error
    if moment.tzinfo is None:
        moment = _add_zone(moment, ZoneInfo(cell.timezone or zone), cell)
    return moment.isoformat()


def _add_zone(moment: datetime, zone: ZoneInfo, cell: TimeCell) -> datetime:
    local = moment.replace(tzinfo=zone, fold=cell.fold)
    # A local time that clocks jumped over comes back as another one.
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise RowFault(f"{cell.column}: {moment.isoformat()} does not exist in {zone.key} (clocks were set forward)")
    return local


def _read_amount(cell: Money, cells: Cells) -> dict[str, Any] | None:
    text = text_of(cells, cell.column, optional=cell.optional)
    if not text:
        return None
    currency = cell.currency
    if cell.currency_column is not None:
        currency = _read_currency(cell.currency_column, text_of(cells, cell.currency_column))
    value = number if isinstance(number := _look_up_column(cells, cell.column), Decimal) else read_amount(text, cell.decimal)
    if value is None:
        raise RowFault(f"{cell.column}: {text[:40]!r} is not an amount{_how_to_write(text, cell.decimal)}")
    if not value.is_finite() or value < 0 or abs(value) >= Decimal(10) ** 16:
        raise RowFault(f"{cell.column}: {text[:40]!r} is not an amount (0 or more, below 10^15 minor units)")
    minor = value.scaleb(CURRENCIES[currency]) if cell.unit == "major" else value
    if minor != minor.to_integral_value():
        raise RowFault(f"{cell.column}: {text[:40]!r} has more decimals than {currency}")
    return {"minor": int(minor), "currency": currency}


def _how_to_write(text: str, decimal_sign: str) -> str:
    """Describes the valid form if separators between digits are wrong."""
    group = "," if decimal_sign == "." else "."
    if not any(sign in text for sign in f"{group} '"):
        return ""
    return f"; separators must be between groups of three digits, as in 12{group}000{decimal_sign}50"


def _read_currency(column: str, text: str) -> str:
    try:
        return read_written(text)
    except ValueError as error:
        raise RowFault(f"{column}: {text[:40]!r} is not a currency (ISO 4217, for example CNY)") from error


def _read_indicators(cell: IndicatorCell, cells: Cells) -> list[dict[str, str]]:
    text = text_of(cells, cell.column, optional=cell.optional)
    pieces = [text] if cell.split is None else text.split(cell.split)
    return [{"kind": cell.kind.value, "value": piece.strip(), "role": cell.role} for piece in pieces if piece.strip()]
