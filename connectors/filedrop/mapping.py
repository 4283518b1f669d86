"""The mapping file: the columns of an institution's file for each part of a signal. Validated YAML.

Invariant: a signal follows from this file and the row alone, so the same row always makes the same signal.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from schemas.common import Region
from schemas.currencies import read_written
from schemas.signals.indicators import IndicatorKind
from schemas.signals.submission import Role, ScamStage, SignalKind
from schemas.signals.taxonomy import TypologyId

# Encodings in which line ends, quotes and commas are never part of another character.
_SAFE = ("utf-8", "utf-8-sig", "gb18030", "gbk", "gb2312", "ascii", "iso8859-1", "cp1252")


class MappingError(ValueError):
    """The mapping file cannot be used; the message lists every fault."""


class _MappingPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MappedCell(_MappingPart):
    """A value: a `constant`, or a `column` (NDJSON: dots lead into objects), translated if there is a table.

    `translate` must list every value that occurs, unless there is `otherwise`. `optional`: an empty cell means no value.
    """

    column: str | None = None
    constant: str | None = None
    translate: dict[str, str] | None = None
    otherwise: str | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _check_source(self) -> MappedCell:
        if (self.column is None) == (self.constant is None):
            raise ValueError("set either a column or a constant")
        return self


class KindCell(MappedCell):
    @model_validator(mode="after")
    def _check_kinds(self) -> KindCell:
        _all_in(self, {kind.value for kind in SignalKind}, "kinds of signals")
        return self


class TimeCell(_MappingPart):
    """The time of the event. `format`: `iso`, `epoch_s`, `epoch_ms`, or strptime's; a time without offset is in `timezone`.

    `fold`: the instant of an ambiguous local time after clocks were set back (0: the first). `optional`: an empty cell means no
    time.
    """

    column: str
    format: str = "iso"
    timezone: str | None = None
    fold: Literal[0, 1] = 0
    optional: bool = False

    @model_validator(mode="after")
    def _check_zone(self) -> TimeCell:
        if self.timezone is not None:
            _known_zone(self.timezone)
        if "%I" in self.format and "%p" not in self.format:
            raise ValueError("%I is an hour of the 12-hour clock; add %p, or use %H")
        return self


class Money(_MappingPart):
    """An amount: `major` units (12,000.00 yuan) become minor units exactly; too many decimals are a fault."""

    column: str
    unit: Literal["major", "minor"] = "major"
    currency: Annotated[str, AfterValidator(read_written)] = "CNY"
    currency_column: str | None = None
    decimal: Literal[".", ","] = "."
    optional: bool = True


class IndicatorCell(_MappingPart):
    """One indicator of the row, or several in one cell (`split`)."""

    kind: IndicatorKind
    column: str
    role: Role = "suspect"
    split: str | None = None
    optional: bool = False


class TypologyCell(MappedCell):
    @model_validator(mode="after")
    def _check_typologies(self) -> TypologyCell:
        _all_in(self, {typology.value for typology in TypologyId}, "typologies")
        return self


class StageCell(MappedCell):
    @model_validator(mode="after")
    def _check_stages(self) -> StageCell:
        _all_in(self, {stage.value for stage in ScamStage}, "stages")
        return self


class Whole(_MappingPart):
    """A whole number; an empty cell means none."""

    column: str


class EndCell(_MappingPart):
    """One end of the event. The default `role` is that of its part."""

    kind: IndicatorKind
    column: str
    role: Role | None = None


class UrlsCell(_MappingPart):
    """Several addresses in one cell."""

    column: str
    split: str = " "


class _EventMap(_MappingPart):
    """`only_with`: a row has no event if its cell of this column, or of one of these, is empty."""

    only_with: Annotated[tuple[str, ...], BeforeValidator(lambda names: (names,) if isinstance(names, str) else names)] = ()
    at: TimeCell | None = None


class TransferMap(_EventMap):
    type: Literal["transfer"]
    payer: EndCell
    payee: EndCell
    amount: Money
    channel: MappedCell | None = None


class CallMap(_EventMap):
    type: Literal["call"]
    caller: EndCell
    callee: EndCell
    duration_s: Whole | None = None


class MessageMap(_EventMap):
    type: Literal["message"]
    sender: EndCell
    recipient: EndCell
    count: Whole | None = None
    urls: UrlsCell | None = None


class SiteMap(_EventMap):
    type: Literal["site"]
    url: MappedCell | None = None
    domain: MappedCell | None = None
    registered_at: TimeCell | None = None


class AppMap(_EventMap):
    type: Literal["app"]
    package: MappedCell
    name: MappedCell | None = None
    download_url: MappedCell | None = None


EventMap = Annotated[TransferMap | CallMap | MessageMap | SiteMap | AppMap, Field(discriminator="type")]
"""Columns of the parts of the event (docs/reference/indicators.md)."""


class ReferenceCell(_MappingPart):
    """The sender's own name of the row: a `column` with a `prefix`, or `compose: row` (file, row, row's hash)."""

    column: str | None = None
    prefix: str = ""
    compose: Literal["row"] | None = None

    @model_validator(mode="after")
    def _check_source(self) -> ReferenceCell:
        if (self.column is None) == (self.compose is None):
            raise ValueError("set either a column or `compose: row`")
        return self


def _known_encoding(name: str) -> str:
    try:
        codec_name = codecs.lookup(name).name
    except LookupError as error:
        raise ValueError(f"unknown encoding {name!r}") from error
    if codec_name not in _SAFE:
        raise ValueError(f"{name} cannot be read line by line; convert the file to UTF-8 or GB 18030")
    return codec_name


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"unknown time zone {name!r}") from error
    return name


class MappingFile(_MappingPart):
    """The whole file. `files`: the pattern of names in a folder. `columns`: the names of a file without a header."""

    format: Literal["csv", "ndjson"]
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8-sig"
    files: str = "*"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: str = Field(default='"', min_length=1, max_length=1)
    columns: tuple[str, ...] | None = None
    timezone: Annotated[str, AfterValidator(_known_zone)] = "Asia/Shanghai"
    reference: ReferenceCell
    kind: KindCell
    occurred_at: TimeCell
    region: MappedCell
    amount: Money | None = None
    indicators: tuple[IndicatorCell, ...] = ()
    narrative: MappedCell | None = None
    typology: TypologyCell | None = None
    stage: StageCell | None = None
    loss: Money | None = None
    detected_at: TimeCell | None = None
    derived_from: MappedCell | None = None
    version: Whole | None = None
    event: EventMap | None = None

    @model_validator(mode="after")
    def _check_settings(self) -> MappingFile:
        if self.delimiter == self.quote or {self.delimiter, self.quote} & {"\n", "\r"}:
            raise ValueError("delimiter and quote must differ and must not be line ends")
        if self.quote.isspace():
            raise ValueError("the quote must not be a blank")
        if twice := repeated_names([name.strip() for name in self.columns or ()]):
            raise ValueError(f"columns: {', '.join(twice)} occurs twice; each column requires a unique name")
        if self.event is None and not any(indicator.role == "suspect" for indicator in self.indicators):
            raise ValueError("indicators: at least one must have the role suspect, unless the mapping has an event")
        if self.occurred_at.optional:
            raise ValueError("occurred_at: every signal requires it, so it cannot be optional")
        if self.region.constant is not None:
            _valid_region(self.region.constant)
        for value in (self.region.translate or {}).values():
            _valid_region(value)
        return self

    def needed(self) -> list[str]:
        """Every column that the mapping names, in order."""
        return list(dict.fromkeys(_list_columns(self.model_dump())))


def repeated_names(columns: Sequence[str]) -> list[str]:
    """Returns repeated names. Columns without a name are skipped, because no mapping can refer to them."""
    return [name for name, count in Counter(columns).items() if count > 1 and name]


def _list_columns(part: Any) -> Iterator[str]:
    """Returns the columns of any part of a mapping: a new kind of cell names its own under the same keys."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            if name == "only_with":
                yield from value
            elif name in ("column", "currency_column"):
                yield from () if value is None else (value,)
            elif name != "translate":
                yield from _list_columns(value)
    elif isinstance(part, (list, tuple)):
        for element in part:
            yield from _list_columns(element)


def _all_in(cell: MappedCell, allowed: set[str], what: str) -> None:
    values = {cell.constant, cell.otherwise, *(cell.translate or {}).values()} - {None}
    if wrong := sorted(str(value) for value in values if value not in allowed):
        raise ValueError(f"{', '.join(wrong)}: not one of the {what} ({', '.join(sorted(allowed))})")


_REGION: TypeAdapter[str] = TypeAdapter(Region)


def _valid_region(code: str) -> None:
    try:
        _REGION.validate_python(code)
    except ValidationError as error:
        raise ValueError(f"{code} is not a GB/T 2260 code of six digits (write it in quotes)") from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses repeated keys: otherwise the last one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge"]
        if twice := repeated_names(keys):
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load_mapping(path: Path) -> MappingFile:
    """Returns the mapping of a YAML file. MappingError if it is unreadable or incomplete."""
    try:
        raw: Any = yaml.load(path.read_text("utf-8"), _UniqueKeys)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MappingError(f"cannot read the mapping {path}: {error}") from error
    return parse_mapping(raw, str(path))


def parse_mapping(raw: Mapping[str, Any], name: str = "mapping") -> MappingFile:
    try:
        return MappingFile.model_validate(raw)
    except ValidationError as error:
        lines = [f"  {'.'.join(str(part) for part in detail['loc']) or 'mapping'}: {detail['msg']}" for detail in error.errors()]
        raise MappingError(f"the mapping {name} is not valid:\n" + "\n".join(lines)) from error
