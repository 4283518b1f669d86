"""Files fed and folders watched."""

from __future__ import annotations

import asyncio
import io
import json

from rich.console import Console

from connectors.contract import Progress
from connectors.filedrop.progress import Shown
from connectors.filedrop.source import FileSource
from connectors.filedrop.watcher import FileDrop, files
from tests.unit.connectors.fakes import FakeGateway
from tests.unit.connectors.samples import csv_mapping, csv_row, write_csv


def drop(gateway: FakeGateway, **more) -> FileDrop:
    return FileDrop(gateway, csv_mapping(), "bank-001", settle_s=more.pop("settle_s", 0.0), **more)


async def test_cursor_and_rejects_lie_beside_the_file_and_name_the_institution(tmp_path):
    path = write_csv(tmp_path / "a.csv", 5, bad=frozenset({1}))
    totals = await drop(FakeGateway()).feed(path)
    assert (totals.accepted, totals.rejected) == (4, 1)
    names = {file.name for file in (tmp_path / ".liandong").iterdir()}
    assert names == {"a.csv.bank-001.cursor.json", "a.csv.bank-001.rejects.ndjson", "a.csv.bank-001.lock"}


async def test_another_institution_has_another_cursor(tmp_path):
    path = write_csv(tmp_path / "a.csv", 3)
    first, second = FakeGateway(), FakeGateway()
    await drop(first).feed(path)
    await FileDrop(second, csv_mapping(), "bank-002", settle_s=0).feed(path)
    assert len(second.order) == 3


async def test_the_end_of_a_fresh_file_is_waited_for(tmp_path):
    path = write_csv(tmp_path / "a.csv", 2)
    path.write_bytes(path.read_bytes() + csv_row(2).encode("gb18030").rstrip())
    waits = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(seconds)

    gateway = FakeGateway()
    await drop(gateway, settle_s=0.3, sleep=sleep).feed(path)
    assert gateway.order == ["R0", "R1", "R2"]
    assert waits


async def test_a_watched_folder_is_fed_as_it_grows(tmp_path):
    write_csv(tmp_path / "b.csv", 2)
    (tmp_path / "notes.txt").write_text("no rows", "utf-8")
    gateway, stop = FakeGateway(), asyncio.Event()
    rounds = 0

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            with (tmp_path / "b.csv").open("ab") as file:
                file.write(csv_row(2).encode("gb18030") + csv_row(3).encode("gb18030")[:10])
        elif rounds == 2:
            with (tmp_path / "b.csv").open("ab") as file:
                file.write(csv_row(3).encode("gb18030")[10:])
        elif rounds == 4:
            stop.set()

    await drop(gateway, sleep=sleep).watch(tmp_path, stop=stop)
    assert gateway.order == ["R0", "R1", "R2", "R3"]


async def test_a_watched_file_is_taken_to_its_last_row_without_a_line_end_once_it_has_settled(tmp_path):
    path = write_csv(tmp_path / "b.csv", 1)
    path.write_bytes(path.read_bytes() + csv_row(1).encode("gb18030").rstrip())
    gateway, stop = FakeGateway(), asyncio.Event()
    sent: list[list[str]] = []

    async def sleep(seconds: float) -> None:
        sent.append(list(gateway.order))
        await asyncio.sleep(0.05)
        if len(gateway.order) == 2 or len(sent) > 100:
            stop.set()

    await drop(gateway, sleep=sleep, settle_s=0.3).watch(tmp_path, stop=stop)
    assert sent[0] == ["R0"]
    assert gateway.order == ["R0", "R1"]
    assert len(sent) < 100


async def test_a_watched_row_that_grows_after_it_was_sent_is_told_and_the_rows_behind_it_come(tmp_path):
    path = write_csv(tmp_path / "b.csv", 1)
    row = csv_row(1).encode("gb18030").rstrip()
    path.write_bytes(path.read_bytes() + row)
    gateway, stop = FakeGateway(), asyncio.Event()
    rounds = 0

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            with path.open("ab") as file:
                file.write(b"9\r\n" + csv_row(2).encode("gb18030"))
        elif rounds == 3:
            stop.set()

    await drop(gateway, sleep=sleep).watch(tmp_path, stop=stop)
    assert gateway.order == ["R0", "R1", "R2"]
    (told,) = (tmp_path / ".liandong" / "b.csv.bank-001.rejects.ndjson").read_text("utf-8").splitlines()
    assert json.loads(told)["row"] == 3
    assert "its first part was sent" in json.loads(told)["reason"]


async def test_a_file_that_is_moved_away_while_it_is_watched_stops_no_other(tmp_path):
    gone, path = write_csv(tmp_path / "a.csv", 2), write_csv(tmp_path / "b.csv", 2)
    gateway, stop, lines = FakeGateway(), asyncio.Event(), []
    gateway.after = lambda: gone.unlink(missing_ok=True)

    async def sleep(seconds: float) -> None:
        stop.set()

    await drop(gateway, sleep=sleep, told=lines.append, batch=1).watch(tmp_path, stop=stop)
    assert path.exists() and "a.csv: the file was removed" in lines
    assert gateway.order[-1] == "R1"


def test_a_folder_gives_the_files_of_the_pattern_in_the_order_of_their_names(tmp_path):
    for name in ("b.csv", "a.csv", ".hidden.csv", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.csv").mkdir()
    assert [path.name for path in files(tmp_path, "*.csv")] == ["a.csv", "b.csv"]
    assert list(files(tmp_path / "c.txt", "*.csv")) == [tmp_path / "c.txt"]


def test_without_a_terminal_progress_is_a_line_now_and_then(tmp_path):
    out, clock = io.StringIO(), iter((100.0, 101.0, 106.0))
    source = FileSource(write_csv(tmp_path / "a.csv", 4), csv_mapping())
    with Shown(Console(file=out), now=lambda: next(clock)) as shown:
        for done in (1, 2, source.size):
            shown.on_batch(source, Progress({"offset": done}, 0, {"accepted": done}))
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert "a.csv: 100 %" in lines[1]


def test_on_a_terminal_progress_is_a_bar(tmp_path):
    out = io.StringIO()
    source = FileSource(write_csv(tmp_path / "a.csv", 4), csv_mapping())
    with Shown(Console(file=out, force_terminal=True, width=100)) as shown:
        shown.on_batch(source, Progress({"offset": source.size}, 0, {"accepted": 4, "rejected": 0}))
    assert "4 accepted, 0 rejected" in out.getvalue()
