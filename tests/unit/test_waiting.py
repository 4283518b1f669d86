"""What a worker says while it waits: one sentence in a file, gone when it goes on."""

from __future__ import annotations

import os
from pathlib import Path

from stream_processors.runtime.settings import Settings
from stream_processors.runtime.waiting import KAFKA, LOCK, Waiting, read_waiting, waiting_file


def _waiting(home: Path) -> tuple[Waiting, Path]:
    return Waiting(Settings(home=home, profile="p", worker_id="assess-0"), "assess"), waiting_file(home, "p", "assess-0")


def test_a_worker_that_waits_says_for_what_since_when_and_how_often_it_tried(tmp_path: Path) -> None:
    waiting, file = _waiting(tmp_path)
    waiting.begin(KAFKA, "Kafka at 127.0.0.1:9092 does not answer")
    waiting.begin(KAFKA, "Kafka at 127.0.0.1:9092 does not answer")
    content = read_waiting(file)
    assert content is not None
    assert (content["cause"], content["tries"], content["pid"]) == ("kafka", 2, os.getpid())
    assert content["waiting_for"] == "Kafka at 127.0.0.1:9092 does not answer"
    assert content["since"].endswith("Z")


def test_a_worker_that_goes_on_leaves_no_file_behind(tmp_path: Path) -> None:
    waiting, file = _waiting(tmp_path)
    waiting.begin(KAFKA, "away")
    waiting.end()
    assert read_waiting(file) is None
    assert list(file.parent.iterdir()) == []


def test_the_end_of_one_wait_leaves_the_other_in_the_file(tmp_path: Path) -> None:
    waiting, file = _waiting(tmp_path)
    waiting.begin(LOCK, "another worker passes the barrier")
    waiting.begin(KAFKA, "away")
    waiting.end(LOCK)
    assert (read_waiting(file) or {})["cause"] == "kafka"
    assert waiting.since_s(LOCK) == 0.0


def test_a_file_that_cannot_be_written_stops_no_worker(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("a file where the folder should be")
    waiting, file = _waiting(tmp_path)
    waiting.begin(KAFKA, "away")
    assert waiting.causes == (KAFKA,)
    assert read_waiting(file) is None


def test_what_is_no_json_is_read_as_nothing(tmp_path: Path) -> None:
    file = tmp_path / "half.json"
    file.write_text('{"pid": 1')
    assert read_waiting(file) is None
