"""The CloudEvents 1.0 envelope (structured JSON) of every record, with two extensions of ours.

`actor` is the cause of the record. `origin` is its source, `topic/partition/offset/n`: the first record of a source counts, later
ones are redeliveries (docs/laws.md).
"""

from __future__ import annotations

from typing import Annotated, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints

from schemas.common import Instant

Text = Annotated[str, StringConstraints(max_length=300)]
Data = TypeVar("Data", bound=BaseModel)


class Origin(NamedTuple):
    """The position of the record that caused this one; `n` numbers several effects of one source."""

    topic: str
    partition: int
    offset: int
    n: int = 0

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}/{self.n}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        topic, partition, offset, n = text.rsplit("/", 3)
        return cls(topic, int(partition), int(offset), int(n))


class Envelope(BaseModel, Generic[Data]):
    model_config = ConfigDict(extra="ignore", frozen=True)

    specversion: str = "1.0"
    id: Text
    source: Text
    type: Text
    time: Instant
    subject: Text | None = None
    datacontenttype: str = "application/json"
    actor: Text
    origin: Text | None = None
    data: Data
