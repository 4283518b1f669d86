"""Records of `oversee` and their views: appraisals, supervision actions, data requests, campaigns.

oversee: k:<about> a record and its revision, in a shared hash like a case
project: o:<about> the same, for readers; `overseen` are the names of the listed ones; a:<id> the outcome of a request

Invariant: only a newer revision replaces a record, so the order of facts does not matter.
"""

from __future__ import annotations

from typing import cast

import msgspec
import orjson

from schemas.cases.case import ActionOutcome
from schemas.codec import RowEnvelope
from schemas.common import DAY_MS, instant_ms
from schemas.oversight.oversight import PARTS, OversightChange, Record
from schemas.scorecards import CountedFigures
from schemas.topics import APPRAISAL_CHANGES
from stream_processors.domain.scorecards import change_leaves
from stream_processors.state.effects import Effect, add, put, put_case, put_newer
from stream_processors.state.keys import BUCKETS, PROJECT, OverseeKey, ProjectKey, bucket_of
from stream_processors.state.scorecard_views import CountedRow, Named, Row, Utc
from stream_processors.state.shared_hashes import drawer, short
from stream_processors.state.store import RedisLike
from stream_processors.views.reading import WholeRead, live_value
from stream_processors.views.scorecards import tallies

LISTED = frozenset({"appraisal", "supervision", "data"})
"""Types of record that are read as lists. Campaigns are not, because there may be many."""
_NOTHING = msgspec.Raw(b"null")


class OverseenRow(Row):
    """A view of OversightChange. The record is kept as it came."""

    action_id: str | None
    about: Named | None
    outcome: ActionOutcome
    at: Utc
    actor: str
    detail: str | None = None
    problem: str | None = None
    revision: int | None = None
    appraisal: msgspec.Raw = _NOTHING
    supervision: msgspec.Raw = _NOTHING
    data: msgspec.Raw = _NOTHING
    campaign: msgspec.Raw = _NOTHING
    figure_changes: CountedRow | None = None

    @property
    def record_json(self) -> bytes | None:
        raw_parts = (bytes(getattr(self, part)) for part in PARTS)
        return next((raw for raw in raw_parts if raw != b"null"), None)

    def answer(self) -> bytes:
        """The change without its record, as an OversightChange, for the caller."""
        names = ("action_id", "about", "outcome", "at", "actor", "detail", "problem", "revision")
        return orjson.dumps({name: getattr(self, name) for name in names}, option=orjson.OPT_UTC_Z)


def record_effect(about: str, revision: int, raw: bytes) -> Effect:
    return put_case(OverseeKey.RECORDS.key(about), revision, raw)


def fold_oversee(envelope: RowEnvelope[OverseenRow]) -> list[Effect]:
    """The whole record, if the request was applied."""
    change, raw = envelope.data, envelope.data.record_json
    if raw is None or change.about is None or change.revision is None:
        return []
    return [record_effect(change.about, change.revision, raw)]


def project_overseen(envelope: RowEnvelope[OverseenRow]) -> list[Effect]:
    """The record for its readers, the outcome for the caller that waits for it, and the change to the scorecards."""
    change, raw, at_ms = envelope.data, envelope.data.record_json, instant_ms(envelope.data.at)
    effects: list[Effect] = []
    if change.action_id and change.outcome is not ActionOutcome.REDELIVERY:
        effects.append(put(ProjectKey.OUTCOMES.key(change.action_id), change.answer(), at_ms + DAY_MS))
    if change.figure_changes is not None:
        effects += tallies(change_leaves(cast("CountedFigures", change.figure_changes)))
    if raw is not None and change.about is not None and change.revision is not None:
        bucket = bucket_of(change.about)
        until_ms = at_ms + APPRAISAL_CHANGES.retention_days * DAY_MS
        effects.append(put_newer(ProjectKey.OVERSEEN.key(change.about), change.revision, raw, until_ms))
        if change.about.partition(":")[0] in LISTED:
            effects.append(add(ProjectKey.OVERSEEN_NAMES.sole(bucket), change.about))
    return effects


def parsed(about: str, raw: bytes) -> Record:
    """The record in this JSON."""
    return PARTS[about.partition(":")[0]][0].model_validate_json(raw)


class OversightViews:
    _redis: RedisLike

    async def overseen(self, about: str) -> Record | None:
        """An appraisal, supervision action, data request or campaign."""
        return next(iter(await self._load_records([about])), None)

    async def all_overseen(self, part: str) -> list[Record]:
        """All records of a listed part, by name. Two round trips."""
        read = WholeRead(self._redis)
        for bucket in range(BUCKETS):
            read.of(bucket).smembers(PROJECT.key(bucket, ProjectKey.OVERSEEN_NAMES))
        head = f"{part}:".encode()
        return await self._load_records(
            sorted(name.decode() for listed in await read.answer() for name in listed if name.startswith(head))
        )

    async def _load_records(self, names: list[str]) -> list[Record]:
        """Those that there are."""
        read = WholeRead(self._redis)
        for name in names:
            bucket = bucket_of(name)
            read.of(bucket).hget(PROJECT.key(bucket, ProjectKey.OVERSEEN, name), "text")
        return [parsed(name, raw) for name, raw in zip(names, await read.answer(), strict=True) if raw is not None]

    async def oversight_action(self, action_id: str) -> OversightChange | None:
        read, bucket = WholeRead(self._redis), bucket_of(action_id)
        read.of(bucket).hget(drawer(PROJECT, bucket, ProjectKey.OUTCOMES, action_id), short(action_id))
        raw = live_value((await read.answer())[0])
        return None if raw is None else OversightChange.model_validate_json(raw)
