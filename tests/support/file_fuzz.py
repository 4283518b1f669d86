"""Files of any bytes, fed to the file drop and compared with an account of their lines that shares no code with its reader.

    python -m tests.support.file_fuzz --files 100000 --seed 7 [--start 40000]

File `n` of a seed is always the same, so a run goes on with `--start`, and a failure names the one file to look at.
Invariant: what counts as a line, a blank one and a CSV record is decided here by the standard library alone.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import random
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from connectors.contract import START, FeedItem, SignalAnswer
from connectors.engine import feed
from connectors.filedrop import commands as perform
from connectors.filedrop.mapping import MappingError, MappingFile, parse_mapping
from connectors.filedrop.source import FileSource
from tests.unit.connectors.fakes import MemoryCursor, MemoryRejects

COLUMNS = ("ref", "at", "acc", "note")
ENCODINGS = ("utf-8-sig", "gb18030", "gbk")
DELIMITERS = (",", ";", "\t", "|")
QUOTES = ('"', "'", "|", "`", "^")
FOREIGN_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
OWN_MARKS = {"utf-8-sig": b"\xef\xbb\xbf", "gb18030": b"\x84\x31\x95\x33"}

TEXTS = ("a", "他说", "先转账", "x y", "丂", "", "", " ", "1,000", "\\", "\ufeff", "\x00", "\x0b", "\x85", "\u2028", "é")
JSON_PIECES = (
    *('{"ref": "R1", ', '"ref": "R2", ', '"at": "2026-03-01T08:00:00Z", ', '"acc": "62990001"}', '"note": "a\\nb"'),
    *("}", "{", "[", "]"),
    '{"ref": "R1", "ref": "R2", "at": "2026-03-01T08:00:00Z", "acc": "62990001"}\n',
    '{"ref": "R1", "at": "2026-03-01T08:00:00Z", "acc": "62990001", "note": "\\ud83d"}\n',
)
ENDS = ("\n", "\n", "\n", "\r\n", "\r", "\n\n", "\r\r", "\n\r", "")
RAW_BYTES = (b"\x81", b"\xff", b"\xfe", b"\xef\xbb\xbf", b"\x84\x31\x95\x33", b"\x82|", b"\x81`", b"\x00", b"\x80", b"\x82^")


@dataclass(frozen=True)
class Options:
    """How a file is to be read."""

    is_csv: bool
    encoding: str
    delimiter: str
    quote: str
    has_header: bool

    @property
    def mapping(self) -> MappingFile:
        csv_only: dict[str, Any] = {"delimiter": self.delimiter, "quote": self.quote}
        if not self.has_header:
            csv_only["columns"] = list(COLUMNS)
        return parse_mapping(
            {
                "format": "csv" if self.is_csv else "ndjson",
                "encoding": self.encoding,
                "reference": {"column": "ref"},
                "kind": {"constant": "telecom_fraud"},
                "occurred_at": {"column": "at"},
                "region": {"constant": "630202"},
                "indicators": [{"kind": "account", "column": "acc"}],
                "narrative": {"column": "note", "optional": True},
                **(csv_only if self.is_csv else {}),
            }
        )


def options_of(rng: random.Random) -> Options:
    delimiter = rng.choice(DELIMITERS)
    quote = rng.choice([quote for quote in QUOTES[: rng.choice((1, 5))] if quote != delimiter])
    return Options(rng.random() < 0.8, rng.choice(ENCODINGS), delimiter, quote, rng.random() < 0.6)


def header_of(options: Options) -> bytes:
    return options.delimiter.join(COLUMNS).encode()


def piece_of(rng: random.Random, options: Options) -> bytes:
    """A few bytes that a file may have: whole rows, quotes, delimiters, ends, halves of characters."""
    quote, delimiter = options.quote, options.delimiter
    kind = rng.randrange(12)
    if kind < 4:
        note = rng.choice(TEXTS) + rng.choice(("", "", "", quote, f"{quote}{quote}"))
        if kind == 0:
            middle = rng.choice(("", "\n", "\r\nx", delimiter, quote * 2, "\\" + quote))
            note = quote + note + middle + rng.choice((quote, quote, ""))
        cells = (f"R{rng.randrange(100)}", "2026-03-01T08:00:00Z", f"62990000{rng.randrange(1000):04d}", note)
        line = delimiter.join(cells) if options.is_csv else '{"ref": "R1", "at": "2026-03-01T08:00:00Z", "acc": "62990001"}'
        return (line + rng.choice(ENDS)).encode(options.encoding.removesuffix("-sig"), "ignore")
    if kind < 6:
        return rng.choice(RAW_BYTES)
    if kind == 6:
        return rng.randbytes(rng.randrange(1, 6))
    if kind == 7 and not options.is_csv:
        return rng.choice(JSON_PIECES).encode()
    text = rng.choice((quote, quote, delimiter, quote * 2, rng.choice(TEXTS), *rng.choices(ENDS, k=3)))
    return text.encode(options.encoding.removesuffix("-sig"), "ignore")


def file_of(rng: random.Random, options: Options) -> bytes:
    head = rng.choice((b"", b"", b"", OWN_MARKS.get(options.encoding, b""), rng.choice(RAW_BYTES)))
    if options.is_csv and options.has_header:
        head += rng.choice((b"", b"", b"", b"\n", b" \r\n")) + header_of(options) + rng.choice((b"\n", b"\r\n", b"\r"))
    return head + b"".join(piece_of(rng, options) for _ in range(rng.randrange(24)))


class _Gateway:
    """Takes every body but those whose account ends with 7."""

    def __init__(self) -> None:
        self.references: list[str] = []

    async def send(self, bodies: Sequence[Mapping[str, Any]]) -> list[SignalAnswer]:
        answers = []
        for body in bodies:
            is_refused = body["indicators"][0]["value"].endswith("7")
            self.references += [] if is_refused else [body["reference"]]
            answers.append(SignalAnswer("refused", reason="ends with 7") if is_refused else SignalAnswer("accepted"))
        return answers


def check_file(raw: bytes, options: Options, folder: Path, rng: random.Random, *, deep: bool = True) -> int:
    """The number of rows that were looked at. AssertionError when a row is lost, joined, doubled or numbered wrongly."""
    path, mapping = folder / "fuzz.csv", options.mapping
    path.write_bytes(raw)
    try:
        items = list(FileSource(path, mapping, settle_s=0).items(START))
    except MappingError:
        assert _may_be_refused_whole(raw, options), "a file with its own header was refused"
        return 0
    _check_cover(raw, options, items)
    source = FileSource(path, mapping, settle_s=0)
    picked = range(len(items)) if deep else rng.sample(range(len(items)), min(2, len(items)))
    for number in picked:
        assert list(source.items(items[number].position)) == items[number + 1 :], f"after row {items[number].number}"
    _check_growth(raw, mapping, items, path, rng)
    _check_feed(path, mapping, items)
    _check_growth_after_settling(raw, options, path, rng)
    if deep:
        out = io.StringIO()
        perform._check_rows(path, mapping, Console(file=out, width=200))
        sent, rejected = re.search(r"([\d,]+) rows would be sent, ([\d,]+) would be rejected", out.getvalue()).groups()  # type: ignore[union-attr]
        assert int(sent.replace(",", "")) + int(rejected.replace(",", "")) == len(items), "--check counts other rows"
    return len(items)


def _lines(raw: bytes) -> list[bytes]:
    """The physical lines: what any editor shows, for latin-1 has a character for every byte."""
    return [line.encode("latin-1") for line in io.TextIOWrapper(io.BytesIO(raw), encoding="latin-1", newline="")]


def _is_blank(line: bytes, options: Options, number: int) -> bool:
    mark = OWN_MARKS.get(options.encoding, b"")
    text = line.strip(b" \t\r\n\x0b\x0c")
    return not text or (number == 0 and bool(mark) and text == mark)


def _may_be_refused_whole(raw: bytes, options: Options) -> bool:
    own = OWN_MARKS.get(options.encoding)
    if raw.startswith(FOREIGN_MARKS) or any(raw.startswith(mark) and mark != own for mark in OWN_MARKS.values()):
        return True
    if not (options.is_csv and options.has_header):
        return False
    rows = [line for n, line in enumerate(_lines(raw)) if not _is_blank(line, options, n)]
    return not rows or rows[0].removeprefix(own or b"").rstrip(b"\r\n") != header_of(options)


def _check_cover(raw: bytes, options: Options, items: list[FeedItem]) -> None:
    """Each line that is not blank belongs to one item; numbers count rows and blank lines, each once, in order."""
    lines = _lines(raw)
    by_start = {int(item.position["last_start"]): item for item in items}
    assert len(by_start) == len(items), "two items of one place"
    at, number, index = 0, 0, 0
    has_header = options.is_csv and options.has_header
    while index < len(lines):
        line, first = lines[index], index
        number, index, start = number + 1, index + 1, at
        at += len(line)
        item = by_start.pop(start, None)
        if item is None and has_header and not _is_blank(line, options, first):
            has_header = False
            for _ in range(_header_lines(lines[first:], options) - 1):
                at, index = at + len(lines[index]), index + 1
            continue
        if item is None:
            assert _is_blank(line, options, first), f"line {first + 1} is nowhere"
            continue
        assert not _is_blank(line, options, first), f"line {first + 1} is blank and an item"
        assert item.number == number, f"line {first + 1} has the number {item.number}, not {number}"
        while at < int(item.position["offset"]):
            at, index = at + len(lines[index]), index + 1
        assert at == item.position["offset"], f"row {number} ends inside of a line"
        _check_row(lines[first:index], options, item, start)
    assert not by_start, "items inside of others"


def _header_lines(lines: list[bytes], options: Options) -> int:
    """How many lines the header has: more than one only when it is not the one that `file_of` wrote."""
    codec = options.encoding.removesuffix("-sig")
    for count in range(1, len(lines) + 1):
        records = _records([line.decode(codec) for line in lines[:count]], options)
        if records is not None and len(records) == 1:
            return count
    raise AssertionError("the header is no record")


def _check_row(lines: list[bytes], options: Options, item: FeedItem, start: int) -> None:
    codec = options.encoding.removesuffix("-sig")
    try:
        texts = [line.decode(codec) for line in lines]
    except UnicodeDecodeError:
        assert len(lines) == 1 and item.body is None, "bytes of another encoding were taken, or took lines with them"
        return
    if start == 0:
        texts[0] = texts[0].removeprefix("\ufeff")
    if not options.is_csv:
        assert len(lines) == 1
        assert item.body is None or texts[0].count('"ref"') == 1, "a member that stands twice was taken"
        return
    records = _records(texts, options)
    if len(lines) > 1:
        is_record = records is not None and len(records) == 1 and len(records[0]) == len(COLUMNS)
        assert is_record, "lines that are no record were joined"
        inner = [_records([text], options) for text in texts[1:-1]]
        assert not any(found and len(found[0]) == len(COLUMNS) for found in inner), "a row was swallowed by a quoted cell"
    if item.body is not None:
        assert records is not None and len(records) == 1 and len(records[0]) == len(COLUMNS)
        reference, _, account, note = records[0]
        assert item.body["reference"] == reference.strip()
        assert item.body["indicators"][0]["value"] == account.strip()
        assert item.body.get("narrative", "") == note.strip()
    elif len(lines) == 1 and options.quote not in texts[0]:
        cells = texts[0].rstrip("\r\n").split(options.delimiter)
        is_good = len(cells) == len(COLUMNS) and cells[1] == "2026-03-01T08:00:00Z" and cells[0].isalnum() and cells[2].isalnum()
        assert not is_good, "a good row was rejected"


def _records(texts: list[str], options: Options) -> list[list[str]] | None:
    """What the standard library makes of the lines; None when it refuses them."""
    try:
        return list(csv.reader(texts, delimiter=options.delimiter, quotechar=options.quote, strict=True))
    except csv.Error:
        return None


def _plain(item: FeedItem) -> tuple[Any, ...]:
    """An item without what names the file."""
    place = (item.position["offset"], item.position["row"], item.position["last_start"], item.position["last"])
    return (item.number, item.raw, item.body, item.fault, place)


def _check_growth(raw: bytes, mapping: MappingFile, items: list[FeedItem], path: Path, rng: random.Random) -> None:
    """A file that comes in pieces gives the same rows as the whole file."""
    cuts = sorted(rng.randrange(len(raw) + 1) for _ in range(2))
    position, found = START, []
    path.write_bytes(b"")
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        with path.open("ab") as file:
            file.write(raw[start:end])
        settle_s = 0 if end == len(raw) and start != end else 3600
        found += FileSource(path, mapping, follow=settle_s > 0, settle_s=settle_s).items(position)
        position = found[-1].position if found else START
    found += FileSource(path, mapping, settle_s=0).items(position)
    assert [_plain(item) for item in found] == [_plain(item) for item in items], f"read in pieces, cut at {cuts}"


def _check_growth_after_settling(raw: bytes, options: Options, path: Path, rng: random.Random) -> None:
    """A writer that pauses so long that half a row is taken: every line of the file is still told, whole."""
    cut = rng.randrange(len(raw) + 1)
    path.write_bytes(raw[:cut])
    try:
        first = list(FileSource(path, options.mapping, follow=True, settle_s=0).items(START))
        with path.open("ab") as file:
            file.write(raw[cut:])
        second = list(FileSource(path, options.mapping, settle_s=0).items(first[-1].position if first else START))
    except MappingError:
        return
    numbers = [item.number for item in second]
    assert numbers == sorted(set(numbers)) and (not first or not second or numbers[0] >= first[-1].number)
    told = "\n".join(item.raw for item in (*first, *second))
    codec, mark = options.encoding.removesuffix("-sig"), OWN_MARKS.get(options.encoding, b"")
    has_header = options.is_csv and options.has_header
    for number, line in enumerate(_lines(raw)):
        if _is_blank(line, options, number):
            continue
        text = (line if number else line.removeprefix(mark)).rstrip(b"\r\n").decode(codec, "backslashreplace")
        assert has_header or text in told, f"line {number + 1} is nowhere, cut at {cut}"
        has_header = False


def _check_feed(path: Path, mapping: MappingFile, items: list[FeedItem]) -> None:
    gateway, rejects = _Gateway(), MemoryRejects()
    source = FileSource(path, mapping, settle_s=0)
    totals = asyncio.run(feed(source, gateway=gateway, cursor=MemoryCursor(), rejects=rejects, batch=3))
    assert totals.accepted + totals.rejected == len(items)
    numbers = [reject.number for reject in rejects.rows]
    assert numbers == sorted(set(numbers)) and len(numbers) == totals.rejected
    accepted = [item for item in items if item.number not in set(numbers)]
    assert [item.body["reference"] for item in accepted if item.body] == gateway.references
    assert len(gateway.references) == totals.accepted


def fuzz(files: int, seed: int, start: int = 0, *, deep: bool = False) -> tuple[int, int]:
    """Checks the files `start` to `start + files` of a seed. How many files and rows were looked at."""
    rows = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(start, start + files):
            rng = random.Random(f"{seed}:{number}")
            options = options_of(rng)
            raw = file_of(rng, options)
            try:
                rows += check_file(raw, options, Path(folder), rng, deep=deep or number % 20 == 0)
            except BaseException:
                print(f"file {number} of seed {seed}: {options}\n{raw!r}", file=sys.stderr)
                raise
            if (number + 1) % 5000 == 0:
                print(f"seed {seed}: {number + 1} files, {rows} rows", file=sys.stderr, flush=True)
    return files, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--start", type=int, default=0)
    wish = parser.parse_args()
    seed = random.randrange(1 << 32) if wish.seed is None else wish.seed
    print(f"seed {seed}: files {wish.start} to {wish.start + wish.files}", file=sys.stderr, flush=True)
    before = time.monotonic()
    files, rows = fuzz(wish.files, seed, wish.start)
    print(f"seed {seed}: {files} files, {rows} rows, none lost, joined or doubled; {time.monotonic() - before:.0f} s")


if __name__ == "__main__":
    main()
