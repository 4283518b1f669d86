"""From the bytes of one body to a record ready for the log: depth, JSON, validation, reference, protection. No I/O.

Invariant: whatever the bytes are, the outcome is a Prepared or a Problem that repeats nothing of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.limits import check_depth
from gateway.log import Entry
from gateway.problems import Problem
from schemas.codec import encode
from schemas.protect import Sealer, Tokenizer
from schemas.protect.submission import protect, signal_id
from schemas.signals import SignalIn
from schemas.topics import SUBMITTED

KEY_PREFIX = "key:"
_KEY_FORM = re.compile(r"[\x21-\x7e]{1,124}", re.ASCII)
_ERRORS_TOLD = 20

Model = TypeVar("Model", bound=BaseModel)


class Prepared(NamedTuple):
    """A signal that may be appended. `alias` is the name and body of an Idempotency-Key beside the sender's
    reference."""

    signal_id: str
    body: str
    entry: Entry
    alias: tuple[str, str] | None


class Intake:
    """`read` one body of one institution."""

    def __init__(self, tokenizer: Tokenizer, sealer: Sealer, depth_limit: int, now: Callable[[], datetime] | None = None) -> None:
        self._tokenizer = tokenizer
        self._sealer = sealer
        self._depth_limit = depth_limit
        self._now = now or (lambda: datetime.now(UTC))

    def read(self, raw: bytes, institution: str, key: str | None = None) -> Prepared:
        """Problem when the body is not acceptable."""
        body = validated(SignalIn, raw, "invalid-signal", self._depth_limit)
        if key is not None and not _KEY_FORM.fullmatch(key):
            raise Problem("reference-missing", "an Idempotency-Key is 1 to 124 printable ASCII characters without spaces")
        reference = body.reference or (KEY_PREFIX + key if key is not None else None)
        if reference is None:
            raise Problem("reference-missing", "give the signal a reference of your own, or send an Idempotency-Key")
        try:
            signal = protect(body, institution=institution, reference=reference, tokenizer=self._tokenizer, sealer=self._sealer)
        except UnicodeEncodeError:
            raise Problem("invalid-signal", "a text holds half a character", errors=[]) from None
        value = encode(
            SUBMITTED,
            signal,
            id=signal.signal_id,
            source="/gateway",
            actor=f"institution:{institution}",
            time=self._now(),
            subject=signal.signal_id,
        )
        alias = None
        if key is not None and body.reference is not None:
            name = "k" + signal_id(self._tokenizer, institution, KEY_PREFIX + key)
            alias = (name, f"{signal.body_id}.{signal.signal_id}")
        return Prepared(signal.signal_id, signal.body_id, Entry(signal.primary.token.encode(), value), alias)


def validated(model: type[Model], raw: bytes, slug: str, depth_limit: int) -> Model:
    """The model of a JSON body. Problem `slug` with a pointer and a sentence for each fault."""
    check_depth(raw, depth_limit)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise said(error, slug) from None
    except (ValueError, TypeError, RecursionError):
        # A validator may meet a value of a type that it did not expect: still the sender's fault, never ours.
        raise Problem(slug, "the body is not valid JSON in UTF-8, or a value has the wrong type", errors=[]) from None


def said(error: ValidationError, slug: str) -> Problem:
    """The faults as JSON pointers and sentences, without the values."""
    faults: list[dict[str, Any]] = [
        {"pointer": "".join(f"/{part}" for part in one["loc"])[:256], "detail": one["msg"][:300]}
        for one in error.errors(include_url=False, include_input=False, include_context=False)[:_ERRORS_TOLD]
    ]
    return Problem(slug, f"{faults[0]['pointer'] or 'body'}: {faults[0]['detail']}", errors=faults)
