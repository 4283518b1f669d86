"""What must reach whom, as data: the pieces of the loop return it, delivery makes records of it.

Invariant: `kind` says which record `data` is.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from schemas.appeals import ObjectionTold
from schemas.feedback import EarlyWarning, Feedback, TakenBack

ToldKind = Literal["feedback", "early_warning", "taken_back", "objection"]


class Told(NamedTuple):
    """`recipient`: an institution, or the queue of an agency. `about`: the id of a signal, case or objection."""

    recipient: str
    kind: ToldKind
    about: str
    data: Feedback | EarlyWarning | TakenBack | ObjectionTold
