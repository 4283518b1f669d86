"""The page of figures says what was printed, the last of each, and hides nothing."""

from __future__ import annotations

import json

from tests.bench.figures import AtLeast, AtMost, Figure, NotRun
from tests.bench.report import page


def _lines(*rows: Figure | NotRun) -> list[str]:
    return [json.dumps(row.as_json()) for row in rows]


def test_each_figure_stands_once_with_the_last_that_was_taken() -> None:
    old = _lines(Figure("assess", "rate", "signals/s", [1.0], AtLeast(5000)), NotRun("peers", "all", "no Maven\nlong trace"))
    new = _lines(Figure("assess", "rate", "signals/s", [5100.0, 5300.0, 5200.0], AtLeast(5000), note="one process"))
    text = page([*old, "assess: run 1", *new], ["2 cores\n", "\n"])
    assert "| rate (one process) | 5,200 signals/s | ≥ 5000 | met | 5,100, 5,300, 5,200 |" in text
    assert text.count("signals/s |") == 1 and "- 2 cores" in text
    assert "| all | not run | | | no Maven |" in text and "long trace" not in text
    later = page([*old, *_lines(Figure("peers", "x", "x", [1.4], AtLeast(1.3), {"Kafka Streams": 8000.0}))], [])
    assert "not run" not in later and "x; Kafka Streams 8,000" in later


def test_a_target_that_is_not_met_is_said() -> None:
    text = page(_lines(Figure("memory", "Redis", "bytes", [1600.0], AtMost(1500))), [])
    assert "| Redis | 1,600 bytes | ≤ 1500 | **not met** | 1,600 |" in text


def test_a_target_of_another_day_is_printed_and_judges_nothing() -> None:
    text = page(_lines(Figure("assess", "rate", "signals/s", [900.0], absolute=AtLeast(5000))), [])
    assert "| rate | 900 signals/s | ≥ 5000 on the machine of that day |  | 900 |" in text
