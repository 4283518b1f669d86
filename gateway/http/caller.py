"""Who calls: a name, a role, and the queues that an officer may work on."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """REGULATOR: reads statistics of institutions. COORDINATOR: the coordination body, appraises units (Arts. 45 to 47)."""

    INSTITUTION = "institution"
    OFFICER = "officer"
    REGULATOR = "regulator"
    COORDINATOR = "coordinator"
    OPERATOR = "operator"


class Caller(NamedTuple):
    """`queues` are names of queues or prefixes that end in `*`."""

    subject: str
    role: Role
    queues: tuple[str, ...]
    expires_at: float

    @property
    def actor(self) -> str:
        """As the log names who acts: `institution:bank-001`, or `officer:wang` for everybody of an agency."""
        kind = Role.INSTITUTION if self.role is Role.INSTITUTION else Role.OFFICER
        return f"{kind.value}:{self.subject}"

    def may_work_on(self, queue: str) -> bool:
        return any(queue == pattern or (pattern.endswith("*") and queue.startswith(pattern[:-1])) for pattern in self.queues)


ANYBODY = Caller("anybody", Role.OPERATOR, (), 0.0)
