"""Signed cursors: what is given for one thing is refused for another."""

from __future__ import annotations

import pytest

from gateway.http.pagination import parse_cursor, read_page_cursor, write_cursor, write_page_cursor
from gateway.http.problems import Problem
from schemas.security import Keyring, Tokenizer
from stream_processors.views.cases import Cursor

PLACE = Cursor(-73.0000001, "case-é/1")


@pytest.fixture
def tokenizer(keyring: Keyring) -> Tokenizer:
    return Tokenizer(keyring)


def test_a_cursor_gives_back_what_was_signed(tokenizer: Tokenizer) -> None:
    signed = parse_cursor(write_cursor(tokenizer, "4711", "inbox", "bank-001", "log-1"))
    assert signed is not None and signed.payload == "4711"
    assert signed.is_signed_for(tokenizer, "inbox", "bank-001", "log-1")


@pytest.mark.parametrize(
    "scope",
    [("inbox", "bank-002", "log-1"), ("inbox", "bank-001", "log-2"), ("inbox", "bank-001"), ("live",), ("list", "bank-001")],
)
def test_a_cursor_counts_for_nothing_else(tokenizer: Tokenizer, scope: tuple[str, ...]) -> None:
    signed = parse_cursor(write_cursor(tokenizer, "4711", "inbox", "bank-001", "log-1"))
    assert signed is not None and not signed.is_signed_for(tokenizer, *scope)
    assert not signed._replace(payload="4712").is_signed_for(tokenizer, "inbox", "bank-001", "log-1")


@pytest.mark.parametrize("text", ["", ".", "4711", "4711.", ".aaaaaaaaaaaaaaaaaaaaaa", "47 11.aaaaaaaaaaaaaaaaaaaaaa", "a.b.c"])
def test_a_text_of_another_form_is_no_cursor(text: str) -> None:
    assert parse_cursor(text) is None


def test_the_cursor_of_a_page_is_of_its_queue(tokenizer: Tokenizer) -> None:
    text = write_page_cursor(tokenizer, "police-630202", PLACE)
    assert read_page_cursor(tokenizer, "police-630202", text) == PLACE
    for queue, changed in (("police-630203", text), ("police-630202", text[:-1] + ("A" if text[-1] != "A" else "B"))):
        with pytest.raises(Problem, match="the cursor does not belong to this list"):
            read_page_cursor(tokenizer, queue, changed)
    with pytest.raises(Problem, match="the cursor does not belong to this list"):
        read_page_cursor(tokenizer, "police-630202", write_cursor(tokenizer, text.partition(".")[0], "inbox", "police-630202"))
