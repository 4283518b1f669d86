"""Cursors of the queue lists: opaque, and bound to their queue.

Invariant: a cursor of another system or another queue is refused.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

import orjson

from gateway.problems import Problem
from schemas.security import Tokenizer
from stream_processors.views.cases import Cursor


def write_cursor(tokenizer: Tokenizer, queue: str, cursor: Cursor) -> str:
    """Returns the cursor for the client."""
    raw = orjson.dumps([cursor.rank, cursor.case_id])
    return f"{urlsafe_b64encode(raw).decode().rstrip('=')}.{_mark(tokenizer, queue, raw)}"


def read_cursor(tokenizer: Tokenizer, queue: str, text: str) -> Cursor:
    """Reads a cursor from a client; 422 if it is not ours."""
    body, _, mark = text.partition(".")
    try:
        raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
        if not hmac.compare_digest(_mark(tokenizer, queue, raw).encode(), mark.encode()):
            raise ValueError
        rank, case_id = orjson.loads(raw)
        return Cursor(float(rank), str(case_id))
    except (ValueError, TypeError):
        raise Problem(
            "invalid-request",
            "the cursor does not belong to this list",
            errors=[{"pointer": "/cursor", "detail": "not valid"}],
        ) from None


def _mark(tokenizer: Tokenizer, queue: str, raw: bytes) -> str:
    return tokenizer.token("cursor", queue, raw.decode("latin-1")).partition(".")[2]
