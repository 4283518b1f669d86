"""The sender's ledger: what a reader knows after any kill."""

from __future__ import annotations

from pathlib import Path

from connectors.contract import SignalAnswer
from deploy.verify.ledger import Ledger, LedgerJournal, read_ledger
from tests.unit.verify.simulation import place_of

BODIES = [{"reference": f"r{n}"} for n in range(3)]
OK = SignalAnswer("accepted", "sig-1", "2026-03-01T00:00:00Z", "2/17")
NO = SignalAnswer("refused", reason="bad", problem={"type": "urn:liandong:problem:invalid-signal"})


def opened(path: Path) -> tuple[Ledger, LedgerJournal]:
    ledger = Ledger(path, sync=False)
    return ledger, ledger.journal("bank-001")(BODIES)


def test_answers_come_back_with_their_place(tmp_path):
    ledger, journal = opened(tmp_path / "l")
    journal.trying([0, 1])
    journal.answered(0, OK)
    journal.answered(1, NO)
    ledger.close()
    first, second = read_ledger(tmp_path / "l", place_of)
    assert (first.who, first.reference, first.fate, first.position, first.signal_id) == (
        "bank-001",
        "r0",
        "accepted",
        (2, 17),
        "sig-1",
    )
    assert (second.fate, second.problem, second.doubt) == ("refused", "invalid-signal", False)
    assert first.first_try < first.answer_at


def test_a_line_that_was_never_tried_is_none(tmp_path):
    opened(tmp_path / "l")[0].close()
    assert read_ledger(tmp_path / "l") == []


def test_an_attempt_in_doubt_stays_so_whatever_follows(tmp_path):
    ledger, journal = opened(tmp_path / "l")
    journal.trying([0, 1, 2])
    journal.failed([0], "cut", taken=None)
    journal.failed([1], "refused connection", taken=False)
    journal.trying([0, 1])
    for index in (0, 1):
        journal.answered(index, OK)
    ledger.close()
    found = read_ledger(tmp_path / "l")
    assert [(one.doubt, one.fate, one.attempts) for one in found] == [
        (True, "accepted", 2),
        (False, "accepted", 2),
        (True, "open", 1),
    ]


def test_what_was_tried_is_on_disk_before_it_is_tried(tmp_path):
    _, journal = opened(tmp_path / "l")
    journal.trying([0])
    assert [one.doubt for one in read_ledger(tmp_path / "l")] == [True]


def test_a_killed_sender_leaves_a_torn_line_and_the_next_one_goes_on(tmp_path):
    ledger, journal = opened(tmp_path / "l")
    journal.trying([0])
    journal.settled()
    with (tmp_path / "l").open("ab") as file:
        file.write(b'{"do": "answer", "id": "')
    ledger, journal = opened(tmp_path / "l")
    journal.trying([1])
    journal.answered(1, OK)
    ledger.close()
    assert [(one.reference, one.fate) for one in read_ledger(tmp_path / "l")] == [("r0", "open"), ("r1", "accepted")]
