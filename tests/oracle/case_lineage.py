"""Cases that belong together because one was merged into the other or split off it, and the queue in which each began.

What was routed to one of them counts in some one of them; which, only the officers know. Invariant: every case is in one family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar


class Related(Protocol):
    """What is read of a case."""

    @property
    def case_id(self) -> str: ...
    @property
    def merged_into(self) -> str | None: ...
    @property
    def split_from(self) -> str | None: ...


Case = TypeVar("Case", bound=Related)


def families(cases: Iterable[Case]) -> list[list[Case]]:
    """The cases by family. One that names a case that is not there is alone with those that name it, too."""
    found = {one.case_id: one for one in cases}
    head = {name: name for name in found}

    def first(name: str) -> str:
        while head.setdefault(name, name) != name:
            name = head[name]
        return name

    for one in found.values():
        for other in (one.merged_into, one.split_from):
            if other is not None:
                head[first(other)] = first(one.case_id)
    grouped: dict[str, list[Case]] = {}
    for name, one in found.items():
        grouped.setdefault(first(name), []).append(one)
    return list(grouped.values())


class Moved(Protocol):
    @property
    def from_queue(self) -> str: ...


class Queued(Protocol):
    @property
    def queue(self) -> str: ...
    @property
    def transfers(self) -> tuple[Moved, ...]: ...


def home(case: Queued) -> str:
    """The queue that it was routed to, wherever it was transferred since."""
    return case.transfers[0].from_queue if case.transfers else case.queue


class Named(Related, Protocol):
    @property
    def split_count(self) -> int: ...


def kin(case: Named) -> Iterator[str]:
    """Names of its next of kin, as far as it tells them."""
    yield from (name for name in (case.merged_into, case.split_from) if name)
    yield from (f"{case.case_id}~{number}" for number in range(1, case.split_count + 1))


def twice(listed: Mapping[str, Iterable[str]], routed: Mapping[str, int]) -> dict[str, list[str]]:
    """Signals that the cases of a family list more often than they were sent to it: signal -> those cases. `routed`: how often
    each that lives was sent to one of the family."""
    where: dict[str, list[str]] = {}
    for case_id, names in listed.items():
        for name in names:
            where.setdefault(name, []).append(case_id)
    return {name: cases for name, cases in where.items() if len(cases) > routed.get(name, 0)}
