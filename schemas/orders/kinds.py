"""The kinds of orders: a row for each says everything that depends on the kind.

Invariant: what is not in a row of `ORDER_KINDS` the code does not know of a kind; a row that leaves a column out is a type error.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class OrderKind(StrEnum):
    """紧急止付, 冻结, 解除, 资金返还, 停机, 域名封堵, 应用下架, 调取, 督办函."""

    STOP_PAYMENT = "stop_payment"
    FREEZE = "freeze"
    RELEASE = "release"
    RETURN_FUNDS = "return_funds"
    SUSPEND_NUMBER = "suspend_number"
    BLOCK_DOMAIN = "block_domain"
    BLOCK_APP = "block_app"
    REQUEST_INFORMATION = "request_information"
    SUPERVISION_LETTER = "supervision_letter"


class Reversal(NamedTuple):
    """What takes a thing back. `action` names what was done, in the notices of a retraction; `reversal` what undoes it;
    `requires_order`: whether only the agency may order that."""

    action: str
    reversal: str
    requires_order: bool


class MoneyFigures(NamedTuple):
    """The figures of a scorecard that an executed order adds to: how many, and how much."""

    number: str
    amount: str


class OrderKindSpec(NamedTuple):
    """Everything that depends on a kind of order. No column has a default: whoever adds a kind answers every question.

    What it is. `holds_money`: it has an amount, an end, and a bound (traced or arrived). `pays_back`: it pays out what another
    order holds, with an amount and perhaps a public notice before. `is_takedown`: records are kept (Art. 20), and the answer says
    so. `is_letter`: it has a text instead of a subject, and is carried out by an answer. `is_reversible`: it lasts, and so can be
    released. `is_about_another`: it names the order that it takes back or pays from; any officer of the unit may give it.
    `is_compared`: a policy must say what the institution compares before.

    How it meets others. `replaces`: the kind that it may take the place of. `paid_from`: the kind whose money it pays out.

    What comes of it. `reversal`: how it is undone when the report behind it is taken back; None: it leaves nothing behind.
    `figures`: where its money counts in the institution's scorecard. `counts_for_units`: whether one that went to a unit counts
    in the unit's scorecard.
    """

    kind: OrderKind
    holds_money: bool
    pays_back: bool
    is_takedown: bool
    is_letter: bool
    is_reversible: bool
    is_about_another: bool
    is_compared: bool
    replaces: OrderKind | None
    paid_from: OrderKind | None
    reversal: Reversal | None
    figures: MoneyFigures | None
    counts_for_units: bool


K = OrderKind
ORDER_KINDS: dict[OrderKind, OrderKindSpec] = {
    spec.kind: spec
    for spec in (
        OrderKindSpec(K.STOP_PAYMENT, holds_money=True, pays_back=False, is_takedown=False, is_letter=False,
            is_reversible=True, is_about_another=False, is_compared=True, replaces=None, paid_from=None,
            reversal=Reversal("stop_payment", "release", requires_order=True),
                        counts_for_units=False, figures=MoneyFigures("stops", "stopped_minor")),
        OrderKindSpec(K.FREEZE, holds_money=True, pays_back=False, is_takedown=False, is_letter=False,
            is_reversible=True, is_about_another=False, is_compared=False, replaces=K.STOP_PAYMENT, paid_from=None,
            reversal=Reversal("freeze", "release", requires_order=True),
                        counts_for_units=False, figures=MoneyFigures("freezes", "frozen_minor")),
        OrderKindSpec(K.RELEASE, holds_money=False, pays_back=False, is_takedown=False, is_letter=False,
            is_reversible=False, is_about_another=True, is_compared=False, replaces=None, paid_from=None,
            counts_for_units=False, reversal=None, figures=None),
        OrderKindSpec(K.RETURN_FUNDS, holds_money=False, pays_back=True, is_takedown=False, is_letter=False,
            is_reversible=False, is_about_another=True, is_compared=False, replaces=None, paid_from=K.FREEZE,
            counts_for_units=False, reversal=Reversal("return_of_funds", "review_payout", requires_order=True),
            figures=MoneyFigures("returns", "returned_minor")),
        OrderKindSpec(K.SUSPEND_NUMBER, holds_money=False, pays_back=False, is_takedown=False, is_letter=False,
            is_reversible=True, is_about_another=False, is_compared=False, replaces=None, paid_from=None,
            counts_for_units=False, reversal=Reversal("number_suspension", "restore_number", requires_order=True), figures=None),
        OrderKindSpec(K.BLOCK_DOMAIN, holds_money=False, pays_back=False, is_takedown=True, is_letter=False,
            is_reversible=True, is_about_another=False, is_compared=False, replaces=None, paid_from=None,
            counts_for_units=False, reversal=Reversal("domain_blocking", "unblock", requires_order=True), figures=None),
        OrderKindSpec(K.BLOCK_APP, holds_money=False, pays_back=False, is_takedown=True, is_letter=False,
            is_reversible=True, is_about_another=False, is_compared=False, replaces=None, paid_from=None,
            counts_for_units=False, reversal=Reversal("app_blocking", "unblock", requires_order=True), figures=None),
        OrderKindSpec(K.REQUEST_INFORMATION, holds_money=False, pays_back=False, is_takedown=False, is_letter=True,
            is_reversible=False, is_about_another=False, is_compared=False, replaces=None, paid_from=None,
            counts_for_units=False, reversal=None, figures=None),
        OrderKindSpec(K.SUPERVISION_LETTER, holds_money=False, pays_back=False, is_takedown=False, is_letter=True,
            is_reversible=False, is_about_another=False, is_compared=False, replaces=None, paid_from=None,
            counts_for_units=True, reversal=None, figures=None),
    )
}  # fmt: skip


def kinds_where(holds: Callable[[OrderKindSpec], bool]) -> frozenset[OrderKind]:
    """The kinds of which something holds."""
    return frozenset(spec.kind for spec in ORDER_KINDS.values() if holds(spec))


HOLDS = kinds_where(lambda spec: spec.holds_money)
TAKEDOWNS = kinds_where(lambda spec: spec.is_takedown)
LETTERS = kinds_where(lambda spec: spec.is_letter)
REVERSIBLE = kinds_where(lambda spec: spec.is_reversible)
ABOUT_ANOTHER = kinds_where(lambda spec: spec.is_about_another)
PAYS_BACK = kinds_where(lambda spec: spec.pays_back)
COMPARED = kinds_where(lambda spec: spec.is_compared)
REPLACING = kinds_where(lambda spec: spec.replaces is not None)
REPLACEABLE = frozenset(spec.replaces for spec in ORDER_KINDS.values() if spec.replaces is not None)
PAID_FROM = frozenset(spec.paid_from for spec in ORDER_KINDS.values() if spec.paid_from is not None)
NAMES_AMOUNT = HOLDS | PAYS_BACK
NAMES_SUBJECT = frozenset(ORDER_KINDS) - LETTERS - ABOUT_ANOTHER
"""Kinds that name their subject themselves. A letter has a text, and the others take the subject of their related order."""
