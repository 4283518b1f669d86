"""Cursor and rejects beside a file."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from connectors.contract import START, Advised, Progress, Reject
from connectors.filedrop.checkpoint import AdvisoryFile, CursorError, FileCursor, RejectFile, alone


def test_a_cursor_comes_back_as_it_was_saved(tmp_path):
    cursor = FileCursor(tmp_path / "c.json")
    assert cursor.load() == Progress(START)
    saved = Progress({"offset": 17, "head": "ab"}, 5, {"accepted": 3})
    cursor.save(saved)
    assert FileCursor(tmp_path / "c.json").load() == saved


def test_a_kill_between_writing_and_renaming_leaves_the_old_cursor(tmp_path):
    cursor = FileCursor(tmp_path / "c.json")
    cursor.save(Progress({"offset": 1}))
    (tmp_path / "c.json.new").write_bytes(b'{"position": {"off')
    assert cursor.load().position == {"offset": 1}


def test_a_broken_cursor_is_said_and_not_taken_for_a_start(tmp_path):
    (tmp_path / "c.json").write_text("{}", "utf-8")
    with pytest.raises(CursorError, match="is not a cursor file"):
        FileCursor(tmp_path / "c.json").load()


def test_rejects_are_cut_back_to_what_belongs_to_the_cursor(tmp_path):
    rejects = RejectFile(tmp_path / "r.ndjson")
    rejects.rewind(0)
    length = rejects.write([Reject(7, "why", "原样,行", "mapping")])
    rejects.write([Reject(8, "why", "x", "gateway")])
    rejects.rewind(length)
    lines = (tmp_path / "r.ndjson").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"row": 7, "where": "mapping", "reason": "why", "raw": "原样,行"}]


def test_one_feeder_a_file_and_a_dead_one_leaves_no_lock(tmp_path):
    lock = tmp_path / "lock"
    with alone(lock), pytest.raises(CursorError, match="another process"), alone(lock):
        pass
    imports = "import os,pathlib; from connectors.filedrop.checkpoint import alone"
    code = f"{imports}\nwith alone(pathlib.Path({str(lock)!r})): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    with alone(lock):
        pass


def test_advisories_are_cut_back_to_what_belongs_to_the_cursor(tmp_path):
    advisories = AdvisoryFile(tmp_path / "a.ndjson")
    length = advisories.write([Advised(7, "R7", ({"code": "luhn_failed"},))])
    advisories.write([Advised(8, "R8", ({"code": "luhn_failed"},))])
    advisories.rewind(length)
    lines = (tmp_path / "a.ndjson").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"row": 7, "reference": "R7", "advisories": [{"code": "luhn_failed"}]}]
