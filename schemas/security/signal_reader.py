"""Reads the bytes of one signal into a record for `signals.submitted.v1`: depth, JSON, validation, protection. No I/O.

The gateway and raw topics both use it. Invariant: the result is a Submission or a Refused.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.codec import encode
from schemas.envelope import Origin
from schemas.parsing import BodyFault, Refused, read
from schemas.security.sealing import Sealer
from schemas.security.signal_protection import protect
from schemas.security.tokens import Tokenizer
from schemas.signals.advisories import Advice, advice
from schemas.signals.hubs import NO_HUBS, Hubs
from schemas.signals.subjects import NO_PLACEHOLDERS, Placeholders
from schemas.signals.submission import SignalIn, Trust
from schemas.topics import SUBMITTED

AHEAD = timedelta(days=31)
_MOST_PARTS = 256
"""Twice the number of members of a signal that uses all of them. A batch may contain thousands of signals."""


class Submission(NamedTuple):
    """A record for `signals.submitted.v1`. `body_id` identifies the whole body; `advisories` are for its sender."""

    signal_id: str
    body_id: str
    key: bytes
    value: bytes
    advisories: list[Advice]


def _not_far_ahead(body: SignalIn, now: datetime) -> None:
    """A payment may be noticed while it is pending. A time years ahead would be kept until then and count for every later signal
    about its subjects."""
    at = None if body.event is None else body.event.at
    for place, moment in (("/occurred_at", body.occurred_at), ("/detected_at", body.detected_at), ("/event/at", at)):
        if moment is not None and moment > now + AHEAD:
            fault = BodyFault(place, f"the time is more than {AHEAD.days} days in the future")
            raise Refused("invalid-signal", f"{place}: {fault.detail}", (fault,))


class SignalReader:
    """`body` validates an institution's body, `submission` protects it under its reference."""

    def __init__(self, tokenizer: Tokenizer, sealer: Sealer, depth_limit: int, source: str) -> None:
        """`source` is the URI of the writer in the envelope: `/gateway`, `/intake`."""
        self._tokenizer, self._sealer = tokenizer, sealer
        self._depth_limit, self._source = depth_limit, source

    def body(self, raw: bytes) -> SignalIn:
        return read(SignalIn, raw, "invalid-signal", self._depth_limit, _MOST_PARTS)

    def submission(
        self,
        body: SignalIn,
        *,
        institution: str,
        reference: str,
        now: datetime,
        origin: Origin | None = None,
        trust: Trust | None = None,
        contact: str | None = None,
        listed: Placeholders = NO_PLACEHOLDERS,
        hubs: Hubs = NO_HUBS,
    ) -> Submission:
        """`listed`, `hubs`: placeholders and hubs of the policy in force."""
        _not_far_ahead(body, now)
        try:
            signal = protect(
                body,
                institution=institution,
                reference=reference,
                tokenizer=self._tokenizer,
                sealer=self._sealer,
                trust=trust,
                contact=contact,
                listed=listed,
                hubs=hubs,
            )
        except UnicodeEncodeError:
            raise Refused("invalid-signal", "a text contains an unpaired surrogate and is not valid UTF-8", ()) from None
        if signal.derived_from == signal.signal_id:
            raise Refused("invalid-signal", "/derived_from: a signal cannot be derived from itself", ())
        value = encode(
            SUBMITTED,
            signal,
            id=signal.signal_id,
            source=self._source,
            actor=f"institution:{institution}",
            time=now,
            origin=origin,
            subject=signal.signal_id,
        )
        return Submission(signal.signal_id, signal.body_id, signal.primary.token.encode(), value, advice(body, listed))
