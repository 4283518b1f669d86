"""A generation of a topic's partition: from which offset of the broker on the records have which positions.

A partition that lost its tail goes on at offsets that it had given before. Its positions do not: those of a generation are above
all positions of the generations before it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.common import MAX_OFFSET, Instant, Stored

Whole = Annotated[int, Field(ge=0, lt=MAX_OFFSET)]


class LogGeneration(Stored):
    """The value of `log.generations.v1`, written by `liandong recover`: from the broker's offset `begins_at` on, the position of
    a record is its offset and `shift`.

    `known` is the position up to which the partition was known before, `lost` how many records are missing, `last_at` when the
    newest record that both the log and what was made of it know was taken in; None: there is none.
    """

    topic: Annotated[str, Field(max_length=249)]
    partition: Annotated[int, Field(ge=0)]
    generation: Annotated[int, Field(ge=1)]
    begins_at: Whole
    shift: Whole
    known: Whole
    lost: Whole
    last_at: Instant | None = None
