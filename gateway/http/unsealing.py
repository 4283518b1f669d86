"""Sealed values as they are told to those with a need.

Invariant: a value whose key is not here is no error: it is told as not there.
"""

from __future__ import annotations

from pydantic import BaseModel

from schemas.security import Sealer, opened, text_of
from schemas.signals.subjects import Subject

__all__ = ["SubjectOut", "opened", "shown", "subject_out", "text_of"]


class SubjectOut(BaseModel):
    """`value` is None when it cannot be opened (its key is not here). `unmatched`: it says nothing of anybody, for it
    stands for no value (`placeholder`) or is none of its kind (`malformed`); None when it is matched. `hub`: many unrelated cases
    share it; it links nothing. `derived`: no sender named it, it follows from what one did."""

    kind: str
    role: str
    token: str
    value: str | None
    part: str | None = None
    unmatched: str | None = None
    hub: bool = False
    derived: bool | None = None


def subject_out(subject: Subject, owner: str, sealer: Sealer) -> SubjectOut:
    """`owner`: the signal, order or task that the value was sealed for."""
    return shown(subject, opened(sealer, subject.sealed, f"{owner}/{subject.token}"))


def shown(subject: Subject, value: str | None) -> SubjectOut:
    """A subject with its value."""
    return SubjectOut(
        kind=subject.kind,
        role=subject.role,
        token=subject.token,
        value=value,
        part=subject.part,
        unmatched=subject.unmatched,
        hub=subject.hub is not None,
        derived=subject.derived or None,
    )
