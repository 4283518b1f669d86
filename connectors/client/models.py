"""What the gateway answers, as values: the receipt of a signal, one line's answer in a batch, what became of a signal.

Invariant: fields that a newer gateway adds are passed over, so an old client goes on working.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Told(BaseModel):
    """What a gateway tells."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Advisory(Told):
    """Something odd in a signal that was taken all the same: where (JSON pointer), a code, a sentence."""

    pointer: str
    code: str
    detail: str


class Receipt(Told):
    """The broker has the signal. `accepted_at` is its time; `replayed` when the gateway had this reference already; `advisories`
    what looks odd in the body."""

    signal_id: str
    accepted_at: AwareDatetime
    receipt: str
    replayed: bool = False
    advisories: tuple[Advisory, ...] = ()


class Feedback(Told):
    """What came of a signal in one case: how many others report the subject, whether an officer has had it in hand, sorts of what
    was done, how it ended, what was stopped (by currency, minor units; signals of one case share it)."""

    case_id: str | None = None
    duplicate_of: str | None = None
    corroborated_by: int = 0
    seen: bool = False
    acts: tuple[str, ...] = ()
    outcome: str | None = None
    saved_minor: Mapping[str, int] = {}


class Outcome(Told):
    """What became of a signal. While `pending` there is no more than the first three.

    `outcome` is `assessed`, or `resend` when the same content came under another reference (then `of` is that signal);
    `routed`: it lies in the queue of an agency; `feedback`: what came of it since, in each of its cases.
    """

    signal_id: str
    pending: bool
    accepted_at: AwareDatetime
    assessed_at: AwareDatetime | None = None
    outcome: str | None = None
    of: str | None = None
    severity: str | None = None
    routed: bool | None = None
    feedback: tuple[Feedback, ...] = ()


AnswerStatus = Literal["accepted", "refused"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The gateway's last word on one signal of many: `accepted` is the broker's acknowledgement, `refused` its own fault.

    `receipt` proves the place in the log to the operator; `replayed` when the gateway had this reference already;
    `reason` all faults in one sentence; `problem` the gateway's own words (RFC 9457); `advisories` what looks odd in an accepted
    signal, each with `pointer`, `code` and `detail` (docs/reference/indicators.md).
    """

    status: AnswerStatus
    signal_id: str | None = None
    accepted_at: str | None = None
    receipt: str | None = None
    replayed: bool = False
    reason: str = ""
    problem: Mapping[str, Any] = field(default_factory=dict)
    reference: str | None = None
    advisories: tuple[Advisory, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.status == "accepted"
