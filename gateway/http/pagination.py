"""Signed cursors: of lists, of inboxes, of live events. Opaque to clients: `payload.mark`, sent back as they came.

Invariant: a cursor that this system did not give, or gave for something else (`scope`: another list, recipient or log), is
refused: nobody reads on from a guess.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import orjson

from gateway.http.problems import Problem
from schemas.security import Tokenizer
from stream_processors.views.cases import Cursor

_FORM = re.compile(r"([A-Za-z0-9_-]{1,1024})\.([A-Za-z0-9_-]{22})", re.ASCII)


class SignedCursor(NamedTuple):
    """What a client sent back. `payload` counts only once `is_signed_for` says yes."""

    payload: str
    mark: str

    def is_signed_for(self, tokenizer: Tokenizer, *scope: str) -> bool:
        return hmac.compare_digest(_sign_payload(tokenizer, self.payload, scope), self.mark)


def write_cursor(tokenizer: Tokenizer, payload: str, *scope: str) -> str:
    """`4711.kd82…`. The payload is of letters, digits, `-` and `_`."""
    return f"{payload}.{_sign_payload(tokenizer, payload, scope)}"


def parse_cursor(text: str) -> SignedCursor | None:
    """The parts of a cursor; None when the text has not the form of one."""
    match = _FORM.fullmatch(text)
    return None if match is None else SignedCursor(match[1], match[2])


def refuse_cursor(pointer: str, detail: str) -> Problem:
    return Problem("invalid-request", detail, errors=[{"pointer": pointer, "detail": "not valid"}])


def write_page_cursor(tokenizer: Tokenizer, queue: str, cursor: Cursor) -> str:
    """Where the next page of a queue's list begins."""
    raw = orjson.dumps([cursor.rank, cursor.case_id])
    return write_cursor(tokenizer, urlsafe_b64encode(raw).decode().rstrip("="), "list", queue)


def read_page_cursor(tokenizer: Tokenizer, queue: str, text: str) -> Cursor:
    """The cursor that a client sent back; 422 when it was not given for this list."""
    signed = parse_cursor(text)
    if signed is None or not signed.is_signed_for(tokenizer, "list", queue):
        raise refuse_cursor("/cursor", "the cursor does not belong to this list")
    rank, case_id = orjson.loads(urlsafe_b64decode(signed.payload + "=" * (-len(signed.payload) % 4)))
    return Cursor(float(rank), str(case_id))


def _sign_payload(tokenizer: Tokenizer, payload: str, scope: tuple[str, ...]) -> str:
    return tokenizer.token("cursor", *scope, payload).partition(".")[2]
