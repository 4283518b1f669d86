"""What was asked is read back as it was, whatever was killed in between."""

from __future__ import annotations

from deploy.verify.ledger import Ledger
from tests.oracle.request_journal import Bookkeeper, read_book

NOTICE = {"notification_id": "n1", "kind": "order", "template": "order_issued", "case_id": "case-1"}


def test_requests_answers_and_pages_are_read_back(tmp_path):
    path = tmp_path / "book.ndjson"
    with Ledger(path, sync=False) as ledger:
        book = Bookkeeper(ledger)
        key = book.asked("bank-001", "/v1/orders/o1/answers", {"result": "executed"})
        book.trying(key)
        book.trying(key)
        book.told(key, 200, {"order_id": "o1", "state": "executed", "history": ["left", "out"]})
        book.read(
            "bank-001", [{**NOTICE, "order": {"order_id": "o1", "kind": "freeze", "related_order_id": None, "text": "not kept"}}]
        )
        book.read("bank-001", [])
        book.read("bank-001", [NOTICE], last=True)
        open_one = book.asked("bank-001", "/v1/dissuasions/t1/take", {})
        book.trying(open_one)
        book.asked("bank-001", "/v1/dissuasions/t2/take", {})
    with path.open("ab") as file:
        file.write(b'{"do":"told","ke')
    found = read_book(path)
    done, open_ask = found.asks
    assert (done.tries, done.status, done.answer) == (2, 200, {"order_id": "o1", "state": "executed"})
    assert (done.move, done.about, done.done) == ("answers", "o1", True)
    assert (open_ask.path, open_ask.status, open_ask.tries) == ("/v1/dissuasions/t1/take", 0, 1)
    assert found.read["bank-001"] == [{**NOTICE, "order_id": "o1", "order_kind": "freeze", "related_order_id": None}]
    assert [one["notification_id"] for one in found.last["bank-001"]] == ["n1"]
