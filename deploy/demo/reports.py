"""Reports of the demo's institutions, before each writes them in its own format (`file_formats.py`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Literal

from deploy.demo.values import account, phone

Expected = Literal["assessed", "duplicate_content", "duplicate_reference", "reject"]


@dataclass(frozen=True)
class DemoReport:
    """One row. `suspects` are (kind, value), at most one of each kind; `wrong` puts a raw text into a field.

    `expected` is the expected result of the row, `scheme` its planted scheme.
    """

    institution: str
    reference: str
    kind: str
    occurred_at: datetime
    region: str
    suspects: tuple[tuple[str, str], ...]
    amount_minor: int | None = None
    victim_phone: str = ""
    victim_account: str = ""
    narrative: str = ""
    scheme: str | None = None
    expected: Expected = "assessed"
    wrong: dict[str, str] = field(default_factory=dict)


class References:
    """References of one run: its id, the institution's short name, a number."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._next: dict[str, int] = {}

    def take(self, institution: str) -> str:
        self._next[institution] = number = self._next.get(institution, 0) + 1
        return f"{self._run}-{institution}-{number:05d}"


def victim_of(rng: Random, institution: str) -> tuple[str, str]:
    """(account, phone) of a victim as the institution knows it: banks by account, the others by phone; one is empty."""
    by_account = institution.startswith(("bank", "pay"))
    return (account(rng), "") if by_account else ("", phone(rng))
