"""Cursors of inboxes: how far a recipient has read. Returned with a notice, sent back in `after` or `Last-Event-ID`.

Invariant: advancing the cursor proves receipt, so cursors are signed and bound to recipient and log. A guess, or an offset of an
old log, is refused.
"""

from __future__ import annotations

import hmac
import re
from typing import NamedTuple

from gateway.problems import Problem
from schemas.security import Tokenizer

START = -1
"""Before the oldest notice."""
_FORM = re.compile(r"(0|[1-9]\d{0,14})\.([A-Za-z0-9_-]{22})", re.ASCII)


class Claimed(NamedTuple):
    """A cursor from a recipient. `offset` counts only after `is_of` confirms it."""

    offset: int
    mark: str

    def is_of(self, tokenizer: Tokenizer, recipient: str, log: str) -> bool:
        return hmac.compare_digest(_mark(tokenizer, recipient, log, self.offset), self.mark)


def write_cursor(tokenizer: Tokenizer, recipient: str, log: str, offset: int) -> str:
    """Returns `4711.kd82…`."""
    return f"{offset}.{_mark(tokenizer, recipient, log, offset)}"


def claimed(text: str) -> Claimed | None:
    """Parses the text; None if it does not have the form of a cursor."""
    match = _FORM.fullmatch(text)
    return None if match is None else Claimed(int(match[1]), match[2])


def refused(pointer: str) -> Problem:
    return Problem(
        "invalid-request",
        "the cursor does not belong to this inbox; leave it out to read the inbox from its start",
        errors=[{"pointer": pointer, "detail": "not valid"}],
    )


def _mark(tokenizer: Tokenizer, recipient: str, log: str, offset: int) -> str:
    return tokenizer.token("inbox", recipient, log, str(offset)).partition(".")[2]
