"""Opens sealed values for readers with a need.

Invariant: a value whose key is missing is no error: it is shown as absent.
"""

from __future__ import annotations

from pydantic import BaseModel

from schemas.security import Sealer, opened, text_of
from schemas.signals.subjects import Subject

__all__ = ["SubjectOut", "opened", "shown", "subject_out", "text_of"]


class SubjectOut(BaseModel):
    """`value` is None if it cannot be opened (its key is missing). `unmatched`: the value identifies nobody, because it is a
    placeholder (`placeholder`) or not valid (`malformed`); None if it is matched. `hub`: many unrelated cases share it, so it
    links nothing. `derived`: no sender named it; another indicator implies it."""

    kind: str
    role: str
    token: str
    value: str | None
    event_role: str | None = None
    unmatched: str | None = None
    hub: bool = False
    derived: bool | None = None


def subject_out(subject: Subject, owner: str, sealer: Sealer) -> SubjectOut:
    """`owner`: the signal, order or dissuasion that the value was sealed for."""
    return shown(subject, opened(sealer, subject.sealed, f"{owner}/{subject.token}"))


def shown(subject: Subject, value: str | None) -> SubjectOut:
    """Returns a subject with its value."""
    return SubjectOut(
        kind=subject.kind,
        role=subject.role,
        token=subject.token,
        value=value,
        event_role=subject.event_role,
        unmatched=subject.unmatched,
        hub=subject.hub is not None,
        derived=subject.derived or None,
    )
