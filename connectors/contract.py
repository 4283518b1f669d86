"""The contract of a connector: a source gives items in an order that never changes, each with the position after it.

What every connector keeps (tests/contract/connectors runs it against each):
- **Deterministic**: `items(after)` gives the same items, with the same references, each time it is asked. So a row sent
  again after a kill is a repeat at the gateway, and counts once.
- **Resumable**: for each item, `items(item.position)` gives exactly what came after it.
- **Whole**: an item that is not complete yet (a line still being written) is not given.
Invariant of the engine: a position is saved only after the broker's acknowledgement of every item up to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from connectors.client.models import Answer as Answer

Position = Mapping[str, int | str]
"""The position to continue from: JSON that only its source interprets."""

START: Position = {}


class Item(NamedTuple):
    """One row: a `body` (what `POST /v1/signals/batch` takes on one line), or a `fault` that says why there is none."""

    position: Position
    number: int
    raw: str
    body: Mapping[str, Any] | None
    fault: str | None = None


class Reject(NamedTuple):
    """A row that was not taken: its number, the reason, the row as it was."""

    number: int
    reason: str
    raw: str
    where: str


class Advised(NamedTuple):
    """A row that was accepted and in which the gateway found something odd: what it says of it, as it says it."""

    number: int
    reference: str
    advisories: tuple[Mapping[str, Any], ...]


class Source(Protocol):
    """The outside form."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None:
        """How far `progress` can go; None when nobody knows."""

    def items(self, after: Position) -> Iterator[Item]:
        """What stands after a position, in order, to the end of what is there now."""

    def progress(self, position: Position) -> int: ...


class Progress(NamedTuple):
    """What is saved at one moment: the position and the lengths of the files of rejects and advisories that belong to it."""

    position: Position
    rejects_bytes: int = 0
    totals: Mapping[str, int] = {}
    advisories_bytes: int = 0


class CursorStore(Protocol):
    """Keeps the progress of one source. `save` is atomic and durable when it returns."""

    def load(self) -> Progress: ...

    def save(self, progress: Progress) -> None: ...


class RejectStore(Protocol):
    """Bad rows. `rewind` drops what was written after the saved progress, so a row is rejected once."""

    def rewind(self, length: int) -> None: ...

    def write(self, rejects: Sequence[Reject]) -> int:
        """Appends durably; the length after it."""


class AdvisoryStore(Protocol):
    """Rows with advisories. `rewind` as for rejects, so a row is in it once."""

    def rewind(self, length: int) -> None: ...

    def write(self, rows: Sequence[Advised]) -> int:
        """Appends durably; the length after it."""


class Gateway(Protocol):
    async def send(self, bodies: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """One answer a body, in order; returns only when each has one. Retries as long as it takes."""


class Observer(Protocol):
    """Who wants to see what happens (a progress bar, a log, a sender's ledger)."""

    def on_batch(self, source: Source, progress: Progress) -> None: ...
