"""Endpoints of institutions, one value for each institution, of its newest revision (key `h`); inbox.py projects their parked
notices.

Invariant: of two records with one revision the first counts, as for the sender (webhooks/delivery_queue.py).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import NamedTuple

from schemas.codec import dump
from schemas.common import from_ms, instant_ms
from schemas.envelope import Envelope
from schemas.notifications.webhook import Endpoints
from stream_processors.state.effects import Effect, put_newer
from stream_processors.state.keys import PROJECT, ProjectKey, bucket_of
from stream_processors.state.store import RedisLike
from stream_processors.views.inbox import KEPT_MS, Entry, InboxViews, member_of, name_of
from stream_processors.views.reading import WholeRead

_AT_ONCE = 500
FOR_EVER_MS = (1 << 47) - 1


def project_endpoints(envelope: Envelope[Endpoints]) -> list[Effect]:
    """An institution's endpoints. They have no expiry; a newer revision replaces them. They are few, so they are read in full."""
    current = envelope.data
    return [put_newer(ProjectKey.ENDPOINTS.key(current.institution), current.revision, dump(current), FOR_EVER_MS)]


class Parked(NamedTuple):
    """Notices that an endpoint did not accept and that nobody has acknowledged or redelivered since, the newest first; `more`:
    there are others."""

    entries: list[Entry]
    more: bool


class WebhookViews(InboxViews):
    """Over Redis. A part of Views."""

    _redis: RedisLike

    async def endpoints(self, institution: str) -> Endpoints | None:
        """The current ones; None if the institution never registered any."""
        read, bucket = WholeRead(self._redis), bucket_of(institution)
        read.of(bucket).hget(PROJECT.key(bucket, ProjectKey.ENDPOINTS, institution), "text")
        (text,) = await read.answer()
        return None if text is None else Endpoints.model_validate_json(text)

    async def parked(self, recipient: str, endpoint_id: str, *, limit: int) -> Parked:
        read, bucket = WholeRead(self._redis), bucket_of(recipient)
        read.of(bucket).zrevrange(PROJECT.key(bucket, ProjectKey.PARKED, recipient), 0, -1, withscores=True)
        (rows,) = await read.answer()
        own = f"{endpoint_id}/".encode()
        at_ms = {member[len(own) :].decode(): int(at) for member, at in rows if member.startswith(own)}
        parked: list[Entry] = []
        names = list(at_ms)
        for start in range(0, len(names), _AT_ONCE):
            placed = [(urlsafe_b64decode(name), -1) for name in names[start : start + _AT_ONCE]]
            entries = await self._load_entries(bucket, placed)
            parked += [entry for entry in entries if _still_parked(entry, at_ms[_name_entry(entry)])]
            if len(parked) > limit:
                break
        return Parked(await self._place_entries(bucket, parked[:limit]), len(parked) > limit)

    async def _place_entries(self, bucket: int, entries: list[Entry]) -> list[Entry]:
        """Adds their offsets in the log. Leaves out a notice that no inbox shows any more."""
        read = WholeRead(self._redis)
        for entry in entries:
            notice = entry.issued.notification
            member = member_of(notice.recipient, notice.notification_id, instant_ms(notice.at) + KEPT_MS)
            read.of(bucket).zscore(PROJECT.key(bucket, ProjectKey.NOTICES, notice.recipient), member)
        places = await read.answer()
        return [entry._replace(offset=int(at)) for entry, at in zip(entries, places, strict=True) if at is not None]


def _name_entry(entry: Entry) -> str:
    notice = entry.issued.notification
    return name_of(member_of(notice.recipient, notice.notification_id, 0))


def _still_parked(entry: Entry, at_ms: int) -> bool:
    """Whether nobody has acknowledged or redelivered the notice since it was parked."""
    again = entry.delivery.redelivered
    return entry.delivery.acknowledged is None and (again is None or again.at <= from_ms(at_ms))
