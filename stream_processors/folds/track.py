"""Effects of a case's change on the state of `track`: the whole case, and the counts of its orders against caps."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.cases.case import Case, OrderCount
from schemas.codec import RowEnvelope, dump
from stream_processors.state import compression as packing
from stream_processors.state.case_refs import brief
from stream_processors.state.effects import Effect, put_case, rank, unrank
from stream_processors.state.keys import Key, TrackKey, bucket_of
from stream_processors.state.record_views import CaseRow, ChangeRow, UsedRow


def case_effect(case: Case) -> Effect:
    """The current case."""
    return _case_effect(case, dump(case))


def _case_effect(case: Case | CaseRow, raw: bytes) -> Effect:
    return put_case(TrackKey.CASES.key(case.case_id), case.revision, packing.pack(packing.Form.CASE, raw))


def fold_track(envelope: RowEnvelope[ChangeRow]) -> list[Effect]:
    """The whole case, if the action was applied, and the counts of its orders against caps."""
    change = envelope.data
    if change.case is None:
        return []
    return [_case_effect(change.case, change.case_json), *used_effects(change.case.case_id, change.order_counts)]


def used_effects(case_id: str, used: Iterable[OrderCount | UsedRow]) -> list[Effect]:
    """The counts of the case's orders against the caps of accounts. A case's changes are projected in order: the last wins."""
    effects = []
    for use in used:
        key, member = caps_key(use.kind, use.recipient, use.token), brief(case_id)
        effects.append(rank(key, use.count, member) if use.count else unrank(key, member))
    return effects


def caps_key(kind: str, recipient: str, token: str) -> Key:
    """The key of the cases that ordered something about an account, each with its count."""
    return TrackKey.CAPS.key(f"{kind}:{recipient}:{token}", bucket_of(token))
