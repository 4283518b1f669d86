"""Turns the bytes of a body into a record for the log, and reads the gateway's own part: the Idempotency-Key. No I/O.

Invariant: for any bytes the result is a Prepared or a Problem that repeats nothing of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.commands.admission import Prepared
from gateway.commands.submit import SOURCE
from gateway.http.problems import Problem, of_refused
from schemas.parsing import Refused
from schemas.security import Sealer, Tokenizer
from schemas.security.signal_protection import signal_id
from schemas.security.signal_reader import SignalReader
from schemas.signals.hubs import NO_HUBS, Hubs
from schemas.signals.retraction import name_of
from schemas.signals.subjects import NO_PLACEHOLDERS, Placeholders
from stream_processors.runtime.log import KeyedEntry

KEY_PREFIX = "key:"
_KEY_FORM = re.compile(r"[\x21-\x7e]{1,124}", re.ASCII)


class SignalParser:
    """`read` one body of one institution. `placeholders`, `hubs`: those of the policy in force."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        sealer: Sealer,
        depth_limit: int,
        now: Callable[[], datetime] | None = None,
        placeholders: Callable[[], Placeholders] = lambda: NO_PLACEHOLDERS,
        hubs: Callable[[], Hubs] = lambda: NO_HUBS,
    ) -> None:
        self._tokenizer, self._placeholders, self._hubs = tokenizer, placeholders, hubs
        self._reader = SignalReader(tokenizer, sealer, depth_limit, SOURCE)
        self._now = now or (lambda: datetime.now(UTC))

    def read(self, raw: bytes, institution: str, key: str | None = None) -> Prepared:
        """Problem if the body is not acceptable."""
        try:
            return self._read_signal(raw, institution, key)
        except Refused as refusal:
            raise of_refused(refusal) from None

    def _read_signal(self, raw: bytes, institution: str, key: str | None) -> Prepared:
        body = self._reader.body(raw)
        if key is not None and not _KEY_FORM.fullmatch(key):
            raise Problem("reference-missing", "an Idempotency-Key is 1 to 124 printable ASCII characters without spaces")
        reference = body.reference or (KEY_PREFIX + key if key is not None else None)
        if reference is None:
            raise Problem("reference-missing", "give the signal a reference of your own, or send an Idempotency-Key")
        submission = self._reader.submission(
            body, institution=institution, reference=reference, now=self._now(), listed=self._placeholders(), hubs=self._hubs()
        )
        alias, own = None, name_of(submission.signal_id, body.version)
        if key is not None and body.reference is not None:
            name = "k" + signal_id(self._tokenizer, institution, KEY_PREFIX + key)
            alias = (name, f"{submission.body_id}.{own}")
        return Prepared(
            submission.signal_id,
            own,
            submission.body_id,
            KeyedEntry(submission.key, submission.value),
            alias,
            body,
            submission.advisories,
        )
