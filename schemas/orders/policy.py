"""The policy's section on orders: length, renewals, approval and comparison of each kind.

Invariant: the code contains none of these numbers. A section that contradicts itself is refused when it is read.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from schemas.common import AmountMinor, Strict
from schemas.deadlines import DeadlineName, Length
from schemas.orders.kinds import COMPARED, HOLDS, LETTERS, PAYS_BACK, REVERSIBLE, TAKEDOWNS, OrderKind
from schemas.orders.order import VerifyField


class KindRules(Strict):
    """Rules of one kind of order.

    `length`: duration (None: until released); `renewals`: how often it may be renewed (None: no limit); `max_per_subject`:
    orders and renewals of this kind on one account together. `dual_approval_from_minor`: the amount from which a second person
    must approve (0: always, None: never). `verify`: fields that the institution compares first. `answer_within`: time to answer.
    `preserve_records`: how long records of a takedown are kept. `validity_deadline`, `answer_deadline`: names of the two
    deadlines. `verify_deadline`: deadline of the comparison (银发〔2016〕86号: before a stop; None: none).
    `public_notice_deadline`: the public notice before a pro rata return, a waiting period (None: no such return).
    `needs_confirmation` until an operator has read the original of `basis`.
    """

    length: Length | None = None
    renewals: int | None = Field(default=0, ge=0, le=1000)
    max_per_subject: int | None = Field(default=None, ge=1, le=1000)
    dual_approval_from_minor: AmountMinor | None = None
    verify: Annotated[tuple[VerifyField, ...], Field(max_length=4)] = ()
    answer_within: Length | None = None
    preserve_records: Length | None = None
    validity_deadline: DeadlineName = "order_validity"
    answer_deadline: DeadlineName = "order_answer"
    verify_deadline: DeadlineName | None = None
    public_notice_deadline: DeadlineName | None = None
    basis: str = Field(min_length=2, max_length=200)
    needs_confirmation: bool = True

    @model_validator(mode="after")
    def _sound(self) -> KindRules:
        names = self.deadline_names()
        if len(set(names)) != len(names):
            raise ValueError("validity_deadline, answer_deadline, verify_deadline and public_notice_deadline must differ")
        if self.length is None and self.renewals:
            raise ValueError("an order without a length cannot be renewed; remove renewals or add a length")
        if self.max_per_subject is not None and self.renewals is not None and self.renewals >= self.max_per_subject:
            raise ValueError("an order with all its renewals would exceed max_per_subject")
        if len(set(self.verify)) != len(self.verify):
            raise ValueError("verify contains a field twice")
        return self

    def deadline_names(self) -> tuple[str, ...]:
        """Every deadline that orders of the kind start and stop."""
        names = (self.validity_deadline, self.answer_deadline, self.verify_deadline, self.public_notice_deadline)
        return tuple(name for name in names if name is not None)


class OrderRules(Strict):
    """Kind -> rules. A kind without rules cannot be ordered."""

    kinds: dict[OrderKind, KindRules] = {}

    @model_validator(mode="after")
    def _lawful(self) -> OrderRules:
        for kind, rules in self.kinds.items():
            if fault := _fault(kind, rules):
                raise ValueError(f"{kind.value}: {fault}")
        if OrderKind.RELEASE not in self.kinds and any(kind in REVERSIBLE for kind in self.kinds):
            raise ValueError("an order with a lasting effect requires release")
        return self

    @property
    def notices(self) -> frozenset[str]:
        """The waiting periods: nobody owes anything when one ends."""
        return frozenset(
            rules.public_notice_deadline for rules in self.kinds.values() if rules.public_notice_deadline is not None
        )

    def deadline_names(self) -> tuple[str, ...]:
        """Every deadline that orders start and stop, sorted."""
        return tuple(sorted({name for rules in self.kinds.values() for name in rules.deadline_names()}))


def _fault(kind: OrderKind, rules: KindRules) -> str | None:
    if kind in HOLDS and rules.length is None:
        return "an order that holds money requires a length"
    if kind in COMPARED and not rules.verify:
        return "a stop requires the fields to compare in verify"
    if rules.verify_deadline is not None and not rules.verify:
        return "verify_deadline requires the fields to compare in verify"
    if kind in LETTERS and rules.answer_within is None:
        return "a letter requires answer_within"
    if kind in TAKEDOWNS and rules.preserve_records is None:
        return "a takedown requires preserve, because its records must be kept (Art. 20)"
    if kind not in TAKEDOWNS and rules.preserve_records is not None:
        return "preserve is allowed for takedowns only"
    if kind not in HOLDS and rules.verify:
        return "verify is allowed only for orders that hold money"
    if kind not in PAYS_BACK and rules.public_notice_deadline is not None:
        return "public_notice_deadline is allowed for a return of funds only"
    if kind not in REVERSIBLE and rules.length is not None:
        return "this kind has no lasting effect and cannot have a length"
    return None
