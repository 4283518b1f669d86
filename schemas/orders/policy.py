"""The policy's section on orders: how long each kind lasts, how often it is renewed, who must agree, what is checked first.

Invariant: the code knows no number of these. A rule that the section itself would contradict is refused when it is read.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from schemas.common import AmountMinor, Strict
from schemas.deadlines import ClockName, Length
from schemas.orders.kinds import COMPARED, HOLDS, LETTERS, PAYS_BACK, REVERSIBLE, TAKEDOWNS, OrderKind
from schemas.orders.order import VerifyField


class KindRules(Strict):
    """Of one kind of order.

    `length`: how long it lasts (None: until it is released); `renewals`: how often it may be renewed (None: as often as needed);
    `most_per_subject`: orders and renewals of this kind on one account, together. `four_eyes_from_minor`: from which amount on a
    second person agrees (0: always, None: never). `verify`: what the institution compares before it does anything.
    `answer_within`: the time to answer. `preserve`: how long records of a takedown are kept. `clock`, `answer_clock`: the names
    under which the two times run. `verify_clock`: that of the comparison (银发〔2016〕86号: before a stop; None: it has no time
    of its own). `notice_clock`: that of the public notice before money is returned pro rata, which is waited for (None:
    nothing is returned so). `needs_confirmation` until an operator has read the original of `basis`.
    """

    length: Length | None = None
    renewals: int | None = Field(default=0, ge=0, le=1000)
    most_per_subject: int | None = Field(default=None, ge=1, le=1000)
    four_eyes_from_minor: AmountMinor | None = None
    verify: Annotated[tuple[VerifyField, ...], Field(max_length=4)] = ()
    answer_within: Length | None = None
    preserve: Length | None = None
    clock: ClockName = "order_validity"
    answer_clock: ClockName = "order_answer"
    verify_clock: ClockName | None = None
    notice_clock: ClockName | None = None
    basis: str = Field(min_length=2, max_length=200)
    needs_confirmation: bool = True

    @model_validator(mode="after")
    def _sound(self) -> KindRules:
        names = self.clock_names()
        if len(set(names)) != len(names):
            raise ValueError("clock, answer_clock, verify_clock and notice_clock are clocks of their own, no two have one name")
        if self.length is None and self.renewals:
            raise ValueError("renewals of an order without a length mean nothing")
        if self.most_per_subject is not None and self.renewals is not None and self.renewals >= self.most_per_subject:
            raise ValueError("an order renewed as often as renewals says is over most_per_subject")
        if len(set(self.verify)) != len(self.verify):
            raise ValueError("verify names a field twice")
        return self

    def clock_names(self) -> tuple[str, ...]:
        """Every clock that orders of the kind start and stop."""
        names = (self.clock, self.answer_clock, self.verify_clock, self.notice_clock)
        return tuple(name for name in names if name is not None)


class OrderRules(Strict):
    """Kind -> its rules; a kind that is not here cannot be ordered."""

    kinds: dict[OrderKind, KindRules] = {}

    @model_validator(mode="after")
    def _lawful(self) -> OrderRules:
        for kind, rules in self.kinds.items():
            if fault := _fault(kind, rules):
                raise ValueError(f"{kind.value}: {fault}")
        if OrderKind.RELEASE not in self.kinds and any(kind in REVERSIBLE for kind in self.kinds):
            raise ValueError("what lasts must have its way back: release is missing")
        return self

    @property
    def notices(self) -> frozenset[str]:
        """The clocks that are waited for: nobody owes anything when one runs out."""
        return frozenset(rules.notice_clock for rules in self.kinds.values() if rules.notice_clock is not None)

    def clock_names(self) -> tuple[str, ...]:
        """Every clock that orders start and stop, sorted."""
        return tuple(sorted({name for rules in self.kinds.values() for name in rules.clock_names()}))


def _fault(kind: OrderKind, rules: KindRules) -> str | None:
    if kind in HOLDS and rules.length is None:
        return "money is never held without an end; give a length"
    if kind in COMPARED and not rules.verify:
        return "a stop is checked before it is carried out; give the verify fields"
    if rules.verify_clock is not None and not rules.verify:
        return "verify_clock runs until something was compared; give the verify fields"
    if kind in LETTERS and rules.answer_within is None:
        return "a letter is answered by a date; give answer_within"
    if kind in TAKEDOWNS and rules.preserve is None:
        return "records of a takedown are kept (Art. 20); give preserve"
    if kind not in TAKEDOWNS and rules.preserve is not None:
        return "only takedowns keep records"
    if kind not in HOLDS and rules.verify:
        return "only orders that hold money are checked against a transfer"
    if kind not in PAYS_BACK and rules.notice_clock is not None:
        return "only a return of funds has a public notice before it"
    if kind not in REVERSIBLE and rules.length is not None:
        return "this kind does not last, it has no length"
    return None
