"""Names of orders, tasks and objections: each names its case.

Invariant: no view has to know where an order, task or objection is; one made by the same action has the same name, whenever it is
made again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

Form = Literal["ord", "task", "obj"]
ORDER: Form = "ord"
TASK: Form = "task"
OBJECTION: Form = "obj"
_CASE, _LONGEST = "case-", 160


def name_of(form: Form, case_id: str, action_id: str) -> str:
    """`ord-<the case's hash>-<12 characters>`, from the action that makes it."""
    return f"{form}-{case_id.removeprefix(_CASE)}-{sha256(action_id.encode()).hexdigest()[:12]}"


def case_of(form: Form, name: str) -> str | None:
    """The case that the name was made for; None when it is no such name."""
    if len(name) > _LONGEST or not name.startswith(form + "-"):
        return None
    case, dash, rest = name[len(form) + 1 :].rpartition("-")
    return _CASE + case if case and dash and rest else None
