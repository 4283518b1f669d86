"""Endpoints of institutions in the views: one value an institution, of its newest revision. What they did not take is inbox.py's.

Invariant: of two records with one revision the first counts, as for the sender (webhooks/delivery_queue.py).
"""

from __future__ import annotations

from schemas.codec import dump
from schemas.envelope import Envelope
from schemas.notifications.webhook import Endpoints
from stream_processors.state.effects import Effect, put_newer
from stream_processors.state.keys import bucket_of

FOR_EVER_MS = (1 << 47) - 1


def project_endpoints(envelope: Envelope[Endpoints]) -> list[Effect]:
    """An institution's endpoints, for ever, unless a newer revision says otherwise. They are seldom, so they are read in full."""
    current = envelope.data
    return [put_newer(bucket_of(current.institution), f"h:{current.institution}", current.revision, dump(current), FOR_EVER_MS)]
