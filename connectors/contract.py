"""The contract of a connector: a source yields items in a fixed order, each with the position after it.

Every connector is (tests/contract/connectors checks each):
- **Deterministic**: `items(after)` yields the same items with the same references each time. A row that is sent again after a
  kill is therefore a duplicate at the gateway and counts once.
- **Resumable**: for each item, `items(item.position)` yields exactly the items after it.
- **Complete**: an unfinished item (a line still being written) is not yielded.

Invariant of the engine: a position is saved only after the broker acknowledged every item up to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from connectors.client.models import SignalAnswer as SignalAnswer

Position = Mapping[str, int | str]
"""The position to continue from: JSON that only its source interprets."""

START: Position = {}


class FeedItem(NamedTuple):
    """One row: a `body` (one line of `POST /v1/signals/batch`), or a `fault` that explains why there is none."""

    position: Position
    number: int
    raw: str
    body: Mapping[str, Any] | None
    fault: str | None = None


class Reject(NamedTuple):
    """A rejected row: its number, the reason, the row itself."""

    number: int
    reason: str
    raw: str
    where: str


class Advised(NamedTuple):
    """An accepted row with the gateway's advisories."""

    number: int
    reference: str
    advisories: tuple[Mapping[str, Any], ...]


class RowSource(Protocol):
    """The outside format."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None:
        """The end of `progress`; None if unknown."""

    def items(self, after: Position) -> Iterator[FeedItem]:
        """Yields the items after a position, in order, to the current end."""

    def progress(self, position: Position) -> int: ...


class Progress(NamedTuple):
    """The saved state: the position, and the lengths of the files of rejects and advisories at that position."""

    position: Position
    rejects_bytes: int = 0
    totals: Mapping[str, int] = {}
    advisories_bytes: int = 0


class CursorStore(Protocol):
    """Stores the progress of one source. `save` is atomic, and durable when it returns."""

    def load(self) -> Progress: ...

    def save(self, progress: Progress) -> None: ...


class RejectStore(Protocol):
    """Rejected rows. `rewind` drops everything after the saved progress, so a row is rejected once."""

    def rewind(self, length: int) -> None: ...

    def write(self, rejects: Sequence[Reject]) -> int:
        """Appends durably and returns the length afterwards."""


class AdvisoryStore(Protocol):
    """Rows with advisories. `rewind` as for rejects, so each row is listed once."""

    def rewind(self, length: int) -> None: ...

    def write(self, rows: Sequence[Advised]) -> int:
        """Appends durably and returns the length afterwards."""


class SignalGateway(Protocol):
    async def send(self, bodies: Sequence[Mapping[str, Any]]) -> list[SignalAnswer]:
        """Returns one answer for each body, in order, when all have one. Retries as long as necessary."""


class Observer(Protocol):
    """Observes the run (a progress bar, a log, a sender's ledger)."""

    def on_batch(self, source: RowSource, progress: Progress) -> None: ...
