"""The read side of webhooks: an institution's endpoints, and what they did not take (inbox.py folds both).

Invariant: as all views (views.py): never half folded, Rebuilding while they are made anew.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import NamedTuple, Protocol

from schemas.common import from_ms, instant_ms
from schemas.notifications.webhook import Endpoints
from stream_processors.state.keys import PROJECT, bucket_of, whole
from stream_processors.state.store import RedisLike
from stream_processors.views.inbox import Rebuilding, RedisInboxes
from stream_processors.views.inbox_fold import KEPT_MS, Entry, member_of, name_of

_AT_ONCE = 500


class Parked(NamedTuple):
    """Notices that an endpoint did not take and that nobody has acknowledged or asked for since, the newest first; `more`: there
    are others."""

    entries: list[Entry]
    more: bool


class Hooked(Protocol):
    async def endpoints(self, institution: str) -> Endpoints | None:
        """As they count; None when it never registered any."""

    async def parked(self, recipient: str, endpoint_id: str, *, limit: int) -> Parked: ...


class RedisHooks(RedisInboxes):
    """Over Redis. A part of RedisViews."""

    _redis: RedisLike

    async def endpoints(self, institution: str) -> Endpoints | None:
        bucket = bucket_of(institution)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(PROJECT.key(bucket, "h", institution), "text")
        pipe.hget(PROJECT.marks(bucket), "stamp")
        text, stamp = await pipe.execute()
        if not whole(stamp):
            raise Rebuilding("the views are being rebuilt")
        return None if text is None else Endpoints.model_validate_json(text)

    async def parked(self, recipient: str, endpoint_id: str, *, limit: int) -> Parked:
        bucket = bucket_of(recipient)
        pipe = self._redis.pipeline(transaction=True)
        pipe.zrevrange(PROJECT.key(bucket, "p", recipient), 0, -1, withscores=True)
        pipe.hget(PROJECT.marks(bucket), "stamp")
        rows, stamp = await pipe.execute()
        if not whole(stamp):
            raise Rebuilding("the views are being rebuilt")
        own = f"{endpoint_id}/".encode()
        at_ms = {member[len(own) :].decode(): int(at) for member, at in rows if member.startswith(own)}
        parked: list[Entry] = []
        names = list(at_ms)
        for start in range(0, len(names), _AT_ONCE):
            placed = [(urlsafe_b64decode(name), -1) for name in names[start : start + _AT_ONCE]]
            entries = await self._entries(bucket, placed)
            parked += [entry for entry in entries if _still_parked(entry, at_ms[_name(entry)])]
            if len(parked) > limit:
                break
        return Parked(await self._placed(bucket, parked[:limit]), len(parked) > limit)

    async def _placed(self, bucket: int, entries: list[Entry]) -> list[Entry]:
        """With where they stand in the log. One that no inbox shows any more is left out."""
        pipe = self._redis.pipeline(transaction=False)
        for entry in entries:
            notice = entry.issued.notice
            member = member_of(notice.recipient, notice.notice_id, instant_ms(notice.at) + KEPT_MS)
            pipe.zscore(PROJECT.key(bucket, "i", notice.recipient), member)
        places = await pipe.execute() if entries else []
        return [entry._replace(offset=int(at)) for entry, at in zip(entries, places, strict=True) if at is not None]


def _name(entry: Entry) -> str:
    notice = entry.issued.notice
    return name_of(member_of(notice.recipient, notice.notice_id, 0))


def _still_parked(entry: Entry, at_ms: int) -> bool:
    """Whether nothing has come since that makes it another thing: it was acknowledged, or asked for once more."""
    again = entry.delivery.replayed
    return entry.delivery.acknowledged is None and (again is None or again.at <= from_ms(at_ms))
