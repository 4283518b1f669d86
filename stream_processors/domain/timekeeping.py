"""The timekeeper's index of due moments, and what it asks for when they have come. Pure.

The index is keyed by due time; a member `case|clock|run|step` is one moment of one clock. It is a fold of the cases' changes:
only a change takes a member out, so a request that was refused or lost is made again, and what it asks for falls due once.
Invariant: the index holds for each clock of each case its one next moment and nothing else; no request is made before its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from schemas.clocks import Clock
from schemas.values import from_ms

ASK_AGAIN_AFTER = timedelta(seconds=5)
"""A request that nothing came of is made again after so long: longer than a slow poll, shorter than anybody's patience."""

# Whole numbers: a float of seconds may be a millisecond too early.
_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


class Member(NamedTuple):
    """One moment of one clock."""

    case_id: str
    clock: str
    run: int
    step: str

    def __str__(self) -> str:
        return f"{self.case_id}|{self.clock}|{self.run}|{self.step}"

    @classmethod
    def parse(cls, text: str) -> Member:
        """ValueError when the text is no member. A case id may hold the separator, the other parts cannot."""
        parts = text.rsplit("|", 3)
        if len(parts) != 4 or not all(parts) or not (parts[2].isascii() and parts[2].isdigit()):
            raise ValueError(f"{text!r} is no member case|clock|run|step")
        return cls(parts[0], parts[1], int(parts[2]), parts[3])


class Entries(NamedTuple):
    """What changes in the index: members to put with their due times in milliseconds since 1970, and members to take out."""

    add: tuple[tuple[str, int], ...]
    remove: tuple[str, ...]


class ClockDue(NamedTuple):
    """What the timekeeper appends to the case's actions. The action id is the moment's own: appended twice, it counts once."""

    action_id: str
    case_id: str
    clock: str
    run: int
    step: str
    at: datetime


def due_ms(moment: datetime) -> int:
    """In whole milliseconds, as the log's times are, and never before the moment."""
    return -((_EPOCH - moment) // _MS)


def indexed(case_id: str, clocks: Iterable[Clock]) -> dict[str, int]:
    """The case's members with their due times in milliseconds: one for each clock that something is still to come of."""
    return {
        str(Member(case_id, one.name, one.run, one.step)): due_ms(one.next_at)
        for one in clocks
        if one.step is not None and one.next_at is not None
    }


def entries(case_id: str, before: Iterable[Clock], after: Iterable[Clock]) -> Entries:
    """What a change of the case's clocks changes in the index. `before` is empty for a new case; putting a member again is
    harmless, so a fold that does not know what was before may give nothing and clean up by a rebuild."""
    was, now = indexed(case_id, before), indexed(case_id, after)
    add = tuple((member, at) for member, at in now.items() if was.get(member) != at)
    return Entries(add, tuple(member for member in was if member not in now))


def action_id(member: Member) -> str:
    return f"due-{member.case_id}-{member.clock}-{member.run}-{member.step}"


def requests(
    members: Iterable[tuple[str, int]],
    *,
    now: datetime,
    asked: Mapping[str, datetime] | None = None,
    again_after: timedelta = ASK_AGAIN_AFTER,
) -> tuple[ClockDue, ...]:
    """What to append for the members (with their due times in milliseconds) that are due by `now`, the earliest first. `asked`:
    when each member was asked for last; a time that lies ahead (the clock was set back) does not count. ValueError for a member
    that cannot be read: the index holds only what this module put there.
    """
    now_ms, waiting = (now - _EPOCH) // _MS, asked or {}
    ripe = sorted((at, text) for text, at in members if at <= now_ms and not _fresh(waiting.get(text), now, again_after))
    return tuple(_request(Member.parse(text), at) for at, text in ripe)


def _fresh(asked_at: datetime | None, now: datetime, again_after: timedelta) -> bool:
    return asked_at is not None and timedelta() <= now - asked_at < again_after


def _request(member: Member, at: int) -> ClockDue:
    return ClockDue(action_id(member), *member, from_ms(at))
