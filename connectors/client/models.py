"""Responses of the gateway as values: the receipt of a signal, the result of one line of a batch, the status of a signal.

Invariant: fields that a newer gateway adds are ignored, so an old client keeps working.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict


class ResponseModel(BaseModel):
    """Base of all responses."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Advisory(ResponseModel):
    """A warning about an accepted signal: the place (JSON pointer), a code, a sentence."""

    pointer: str
    code: str
    detail: str


class SignalReceipt(ResponseModel):
    """The broker has the signal. `accepted_at` is its time; `replayed`: the gateway had this reference already; `advisories`:
    warnings about the body."""

    signal_id: str
    accepted_at: AwareDatetime
    receipt: str
    replayed: bool = False
    advisories: tuple[Advisory, ...] = ()


class SignalFeedback(ResponseModel):
    """The outcome of a signal in one case: how many others report the subject, whether an officer saw it, kinds of actions, the
    outcome, the amount stopped (by currency, in minor units; signals of one case share it)."""

    case_id: str | None = None
    duplicate_of: str | None = None
    corroborated_by: int = 0
    reviewed: bool = False
    actions_taken: tuple[str, ...] = ()
    outcome: str | None = None
    prevented_loss_minor: Mapping[str, int] = {}


class SignalOutcome(ResponseModel):
    """The status of a signal. While `pending` only the first three members are known.

    `outcome` is `assessed`, or `duplicate_content` for duplicate content under another reference (`duplicate_of` is the first
    signal); `routed`: an agency has it in its queue; `feedback`: the outcome in each of its cases.
    """

    signal_id: str
    pending: bool
    accepted_at: AwareDatetime
    assessed_at: AwareDatetime | None = None
    outcome: str | None = None
    duplicate_of: str | None = None
    severity: str | None = None
    routed: bool | None = None
    feedback: tuple[SignalFeedback, ...] = ()


AnswerStatus = Literal["accepted", "refused"]


@dataclass(frozen=True, slots=True)
class SignalAnswer:
    """The gateway's final result for one signal of many: `accepted` is acknowledged by the broker, `refused` is a fault of the
    signal.

    `receipt` proves the position in the log to the operator; `replayed`: the gateway had this reference already; `reason`: all
    faults in one sentence; `problem`: the gateway's own response (RFC 9457); `advisories`: warnings about an accepted signal,
    each with `pointer`, `code` and `detail` (docs/reference/indicators.md).
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
