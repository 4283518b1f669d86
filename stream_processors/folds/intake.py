"""`intake` keeps its places, and nothing else."""

from __future__ import annotations

from schemas.codec import RowEnvelope
from stream_processors.state.effects import Effect
from stream_processors.state.record_views import RawRow


def fold_intake(envelope: RowEnvelope[RawRow]) -> list[Effect]:
    return []
