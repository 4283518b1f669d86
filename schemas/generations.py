"""Generations of a topic's partition: the positions of records from a broker offset on.

A partition that lost its end continues at offsets that it had given before. Its positions do not: a generation uses positions
above all positions of earlier generations.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.common import MAX_OFFSET, Instant, Stored

Whole = Annotated[int, Field(ge=0, lt=MAX_OFFSET)]


class LogGeneration(Stored):
    """The value of `log.generations.v1`, written by `liandong recover`: from broker offset `first_offset` on, the position of a
    record is its offset plus `position_shift`.

    `known_position`: the end of the partition as recorded before; `lost_records`: the number of missing records; `last_at`: when
    the broker stored the newest record that both the log and later records know; None: there is none.
    """

    topic: Annotated[str, Field(max_length=249)]
    partition: Annotated[int, Field(ge=0)]
    generation: Annotated[int, Field(ge=1)]
    first_offset: Whole
    position_shift: Whole
    known_position: Whole
    lost_records: Whole
    last_at: Instant | None = None
