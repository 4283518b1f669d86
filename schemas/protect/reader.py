"""From the bytes of one signal to a record ready for `signals.submitted.v1`: depth, JSON, validation, protection. No I/O.

Every way in (the gateway, a raw topic) reads with this. Invariant: the outcome is a Submission or a Refused.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.codec import encode
from schemas.envelope import Origin
from schemas.hubs import NO_HUBS, Hubs
from schemas.protect.sealing import Sealer
from schemas.protect.submission import protect
from schemas.protect.tokens import Tokenizer
from schemas.reading import Fault, Refused, read
from schemas.signals import SignalIn, Trust
from schemas.topics import SUBMITTED

AHEAD = timedelta(days=31)
_MOST_PARTS = 256
"""Twice what a signal with everything in it has. A batch brings thousands of signals."""


class Submission(NamedTuple):
    """A record that may be appended to `signals.submitted.v1`. `body_id` names the whole body."""

    signal_id: str
    body_id: str
    key: bytes
    value: bytes


def _not_far_ahead(body: SignalIn, now: datetime) -> None:
    """A payment may be noticed while it is pending. What is said to happen years from now would be kept until then, and would
    count for every later signal about its subjects."""
    at = None if body.event is None else body.event.at
    for place, moment in (("/occurred_at", body.occurred_at), ("/detected_at", body.detected_at), ("/event/at", at)):
        if moment is not None and moment > now + AHEAD:
            fault = Fault(place, f"the time is more than {AHEAD.days} days ahead")
            raise Refused("invalid-signal", f"{place}: {fault.detail}", (fault,))


class SignalReader:
    """`body` checks what an institution sent, `submission` protects it under the reference that it has."""

    def __init__(self, tokenizer: Tokenizer, sealer: Sealer, depth_limit: int, source: str, hubs: Hubs = NO_HUBS) -> None:
        """`source` is the writer's URI in the envelope: `/gateway`, `/intake`. `hubs` may be set anew when the policy changed."""
        self._tokenizer, self._sealer = tokenizer, sealer
        self._depth_limit, self._source = depth_limit, source
        self.hubs = hubs

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
    ) -> Submission:
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
                hubs=self.hubs,
            )
        except UnicodeEncodeError:
            raise Refused("invalid-signal", "a text holds half a character", ()) from None
        if signal.derived_from == signal.signal_id:
            raise Refused("invalid-signal", "/derived_from: a signal is no echo of itself", ())
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
        return Submission(signal.signal_id, signal.body_id, signal.primary.token.encode(), value)
