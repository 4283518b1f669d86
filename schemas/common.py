"""Values shared by all records: instants, money, regions, identifiers.

Invariant: a valid value has one canonical form, so equal things are equal bytes in the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
)
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import CoreSchema, no_info_before_validator_function

from schemas.currencies import read_code

_EXACT = ("int", "bool", "float")


def _make_exact(part: object) -> None:
    """Sets `strict` on the numbers of a schema only. A text may still be the name of a kind, and a list a tuple."""
    if isinstance(part, dict):
        if part.get("type") in _EXACT:
            part["strict"] = True
        for inner in part.values():
            _make_exact(inner)
    elif isinstance(part, list | tuple):
        for inner in part:
            _make_exact(inner)


Revision = Annotated[int, Field(ge=1, le=2**53)]
"""The number of a record's version, which a request may name so that it changes no other."""


class Exact(BaseModel):
    """Base of every request body. Numbers are exact: `true`, `"1"` and `1.0` are not integers."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_exact(schema)
        return schema


class Strict(Exact):
    """Base of every record: unknown fields are refused, instances are immutable. Errors repeat no value in a log."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, ser_json_bytes="base64", hide_input_in_errors=True
    )


class Stored(BaseModel):
    """Base of records that our own stages wrote. Unknown fields of a newer writer (rolling upgrade) are ignored. `seldom` names
    fields that a record omits while they are empty (None, False), because records contain many of them."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    seldom: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls._defaults = {name: field.default for name, field in cls.model_fields.items() if not field.is_required()}

    @classmethod
    def trusted(cls, **values: Any) -> Self:
        """Builds an instance from values of our own code without validation, at a tenth of the cost."""
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", {**cls._defaults, **values})
        object.__setattr__(made, "__pydantic_fields_set__", set(values))
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made


@dataclass(frozen=True)
class AtMost:
    """Bounds a list of a body: `Annotated[tuple[Indicator, ...], AtMost(16)]`. It counts the elements before it validates any.
    `max_length` alone counts the valid ones, and a list of invalid ones has as many faults as elements."""

    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        elements = cast(CoreSchema, {**handler(source), "max_length": self.most})
        return no_info_before_validator_function(self._counted, elements)

    def _counted(self, elements: object) -> object:
        if isinstance(elements, list | tuple) and len(elements) > self.most:
            raise PydanticCustomError("too_long", "at most {most} elements are allowed here", {"most": self.most})
        return elements


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None


DAY_MS = 86_400_000


def instant_ms(moment: datetime) -> int:
    """Returns the milliseconds since 1970-01-01T00:00Z."""
    return int(moment.timestamp() * 1000)


def from_ms(ms: int) -> datetime:
    """Returns the aware UTC instant of a Kafka timestamp in milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""An aware instant, kept in UTC and written in RFC 3339 with Z. A naive time is refused."""


def _is_written(moment: object) -> object:
    """Refuses numbers: seconds or milliseconds would be a guess."""
    if isinstance(moment, int | float) or (isinstance(moment, str) and "-" not in moment[1:]):
        raise ValueError("a time requires an offset, for example 2026-03-01T08:00:00+08:00")
    return moment


def _plausible(moment: datetime) -> datetime:
    moment = _to_utc(moment)
    if not 2000 <= moment.year < 2100:
        raise ValueError("the year must be between 2000 and 2099")
    return moment


GivenInstant = Annotated[Instant, BeforeValidator(_is_written, json_schema_input_type=AwareDatetime)]
"""An Instant that a sender gives."""

EventTime = Annotated[
    AwareDatetime, AfterValidator(_plausible), BeforeValidator(_is_written, json_schema_input_type=AwareDatetime)
]
"""The time of an event that a sender gives: an Instant in a plausible year."""

# GB/T 2260: two digits province (11 to 65, then 71, 81, 82), two prefecture, two county.
Region = Annotated[str, StringConstraints(pattern=r"^(1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[12])\d{4}$")]
"""A GB/T 2260 code of six digits, for example 630202 (乐都区)."""

MOST_AMOUNT_MINOR = 10**15
AmountMinor = Annotated[int, Field(ge=0, le=MOST_AMOUNT_MINOR, strict=True)]
"""Money in minor units (fen for CNY)."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=160)]
"""An id, token or reference of ours or of a sender. Its length is bounded, like everything that a fact copies from a record."""

Sealed = Annotated[str, StringConstraints(min_length=1, max_length=32768)]
"""A sealed value (schemas/security/sealing.py)."""

MAX_OFFSET = 1 << 52
"""Upper bound of offsets and watermarks. A Redis script counts in doubles, which are exact up to here."""

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""An ISO 4217 code in a record. The list is open, so that old records stay readable."""

CurrencyIn = Annotated[Currency, AfterValidator(read_code)]
"""An ISO 4217 code in a request: one of a closed list (schemas/currencies.py). `RMB` and `CNH` are read as CNY."""


class Amount(Strict):
    """Money: `{"minor": 1200000, "currency": "CNY"}` is 12,000.00 yuan."""

    minor: AmountMinor
    currency: CurrencyIn = "CNY"


PartyId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$")]
"""The name of an institution, agency, officer or stage: lower-case letters, digits and hyphens."""

_UNIT = re.compile(r".+-\d{6}", re.ASCII)


def is_unit(party: str) -> bool:
    """Whether the name is an agency with its region (GB/T 2260), `public-security-630202`. Any other name is an institution."""
    return _UNIT.fullmatch(party) is not None


Reference = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
"""The sender's own reference of a signal: printable ASCII without spaces."""
