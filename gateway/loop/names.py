"""Names of orders, tasks, objections and measures.

Invariant: the name of an order, task or objection names its case, so that no view has to know where it is; one made under an
Idempotency-Key is the same whenever it is made again. A measure's is its institution's, by the reference.
"""

from __future__ import annotations

from hashlib import sha256

from schemas.protect import Tokenizer

ORDER, TASK, OBJECTION = "ord", "task", "obj"
_CASE, _LONGEST = "case-", 160


def name_of(form: str, case_id: str, action_id: str) -> str:
    """`ord-<the case's hash>-<12 characters>`, from the action that makes it."""
    return f"{form}-{case_id.removeprefix(_CASE)}-{_short(action_id, 12)}"


def case_of(form: str, name: str) -> str | None:
    """The case that the name was made for; None when it is no such name."""
    if len(name) > _LONGEST or not name.startswith(form + "-"):
        return None
    case, dash, rest = name[len(form) + 1 :].rpartition("-")
    return _CASE + case if case and dash and rest else None


def measure_id(tokenizer: Tokenizer, institution: str, reference: str) -> str:
    """A keyed name of (institution, reference): it tells nothing and never changes."""
    return "msr-" + tokenizer.token("measure", institution, reference).partition(".")[2]


def split_case(action_id: str) -> str:
    """The case that a split makes. No subject's own: those are named by queue and subject (domain/routing.py)."""
    return _CASE + _short("split " + action_id, 24)


def _short(text: str, characters: int) -> str:
    return sha256(text.encode()).hexdigest()[:characters]
