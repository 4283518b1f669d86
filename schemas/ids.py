"""Ids of orders, dissuasions and appeals. Each contains its case.

Invariant: no view has to look up the case of an id, and the same action always makes the same id.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

Form = Literal["ord", "dissuasion", "obj"]
ORDER: Form = "ord"
DISSUASION: Form = "dissuasion"
APPEAL: Form = "obj"
_CASE, _LONGEST = "case-", 160


def name_of(form: Form, case_id: str, action_id: str) -> str:
    """Returns `ord-<the case's hash>-<12 characters>` for the action that creates it."""
    return f"{form}-{case_id.removeprefix(_CASE)}-{sha256(action_id.encode()).hexdigest()[:12]}"


def case_of(form: Form, name: str) -> str | None:
    """Returns the case that the id was made for; None if it is not such an id."""
    if len(name) > _LONGEST or not name.startswith(form + "-"):
        return None
    case, dash, rest = name[len(form) + 1 :].rpartition("-")
    return _CASE + case if case and dash and rest else None
