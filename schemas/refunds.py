"""The return of frozen money (资金返还): the share of each payer, and the working behind it.

Invariant: shares and remainder equal the frozen balance, no payer gets more than was paid, and every figure appears in a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, Field

from schemas.common import AmountMinor, Currency, EventTime, Instant, Name, Stored
from schemas.money_trail import Moved

MOST_PAYMENTS = 10_000

ReturnRule = Literal["one_payer", "covered", "traced", "by_time", "pro_rata"]
"""Method of a return. `one_payer`, `covered` and `traced` are direct returns. Only `pro_rata` requires a public notice first."""
RefundRule = Literal["nothing", ReturnRule]
NOTICED: frozenset[ReturnRule] = frozenset({"pro_rata"})
"""Methods that may be paid only after a public notice (公告, frozen-fund return rules of 2016, Art. 8)."""


class Frozen(Stored):
    """The money to return. `public_notice_ends_at`: when the public notice ends; None: no notice was given."""

    account: Name
    balance_minor: AmountMinor
    currency: Currency
    public_notice_ends_at: Instant | None = None


class Payment(Stored):
    """A payment into the frozen account that has not been paid back, in its currency.

    `traced_minor`: the part that a trail still finds on the account; None: not traced.
    """

    payment_id: Name
    payer: Name
    amount_minor: Moved
    at: EventTime | None = None
    traced_minor: AmountMinor | None = None


class Share(Stored):
    payer: Name
    paid_minor: int
    share_minor: int


class Step(Stored):
    """One line of the working: the check or computation, the payer, the figures, the legal basis."""

    name: str
    basis: str
    payer: Name | None = None
    figures: dict[str, int] = {}


class Refund(Stored):
    """The proposal. `undistributed_minor` cannot be assigned and stays frozen. A return that requires a notice is not `payable`
    before the notice ends; until then these are the shares that the notice shows."""

    account: Name
    currency: Currency
    balance_minor: int
    rule: RefundRule
    shares: tuple[Share, ...] = Field(max_length=MOST_PAYMENTS)
    undistributed_minor: int
    payable: bool
    steps: tuple[Step, ...]


class StepOut(BaseModel):
    """A step as people read it."""

    name: str
    basis: str
    payer: str | None
    figures: dict[str, int]
    zh: str
    en: str


SAID: dict[str, tuple[str, str]] = {
    "frozen": (
        "冻结余额 {balance_minor}；{payers} 名汇款人共 {payments} 笔，合计 {paid_minor}",
        "{balance_minor} is frozen; {payers} payer(s) made {payments} payment(s), {paid_minor} together",
    ),
    "nothing": ("没有可返还的资金或没有汇款记录", "there is nothing to return, or no payer is known"),
    "one_payer": (
        "仅有一名汇款人，直接返还 {share_minor}（以余额和汇款额中较小者为限）",
        "there is one payer: {share_minor} is returned directly (the lesser of the balance and the amount paid)",
    ),
    "several_payers": (
        "有 {payers} 名汇款人，不能按单一汇款人返还",
        "there are {payers} payers, so the return to a single payer does not apply",
    ),
    "covered": (
        "余额足以返还全部汇款 {paid_minor}，逐笔全额返还",
        "the balance covers the total paid, {paid_minor}: every payer gets the full amount back",
    ),
    "not_covered": (
        "余额 {balance_minor} 少于汇款总额 {paid_minor}",
        "the balance of {balance_minor} is less than the total paid, {paid_minor}",
    ),
    "traced": (
        "逐笔溯源：汇入 {paid_minor} 中有 {share_minor} 仍在账户内，直接返还",
        "traced payment by payment: of {paid_minor} paid, {share_minor} is still on the account and is returned directly",
    ),
    "not_traced": (
        "{payments} 笔中仅 {traced} 笔可溯源，不能逐笔直接返还",
        "only {traced} of {payments} payments are traced, so a direct return by payment does not apply",
    ),
    "traced_too_much": (
        "溯源合计 {traced_minor} 多于冻结余额 {balance_minor}，不能逐笔直接返还",
        "the traced total {traced_minor} exceeds the balance of {balance_minor}, so a direct return by payment does not apply",
    ),
    "by_time": (
        "按时间顺序先进先出：最后汇入者的资金仍在账户内。此笔 {amount_minor}，计入 {counted_minor}，尚余 {undistributed_minor}",
        (
            "by time, first in, first out: the latest money is still on the account. Of this payment of "
            "{amount_minor}, {counted_minor} counts, and {undistributed_minor} remains"
        ),
    ),
    "no_time": (
        "有 {payments} 笔没有时间记载，不能按时间返还",
        "{payments} payment(s) have no time, so a return by time does not apply",
    ),
    "same_time": (
        "{payers} 名汇款人在同一时刻汇入 {amount_minor}，而可计入的仅余 {undistributed_minor}，时间不能区分",
        "{payers} payers paid {amount_minor} at one instant and {undistributed_minor} remains: time cannot separate them",
    ),
    "pro_rata": (
        "按比例返还：余额 {balance_minor} 除以汇款总额 {paid_minor}",
        "pro rata: the balance of {balance_minor} divided by the total paid, {paid_minor}",
    ),
    "pro_rata_share": (
        "汇款 {paid_minor}，按比例向下取整得 {floor_minor}",
        "{paid_minor} paid gives {floor_minor}, rounded down",
    ),
    "pro_rata_unit": (
        "取整所余的 {unit_minor} 按最大余数归此汇款人",
        "{unit_minor} of the rounding remainder goes to this payer, by the largest remainder",
    ),
    "notice": (
        "按比例返还须先公告，公告期满后方可支付",
        "a pro rata return requires a public notice and may be paid only after the notice has ended",
    ),
    "public_notice_ended": ("公告期已满", "the notice period has ended"),
    "undistributed": (
        "余 {undistributed_minor} 不能归于任何汇款人，继续冻结",
        ("{undistributed_minor} cannot be assigned to any payer and stays frozen"),
    ),
}
"""Step -> its sentence in Chinese and English; `{name}` stands for a figure."""

_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "BHD": 3, "OMR": 3}
"""Digits of the minor unit (ISO 4217) where they are not two."""


def told(refund: Refund) -> list[StepOut]:
    """Returns the working as sentences."""
    return [
        StepOut(
            name=step.name,
            basis=step.basis,
            payer=step.payer,
            figures=dict(step.figures),
            **dict(zip(("zh", "en"), _sentences(step, refund.currency), strict=True)),
        )
        for step in refund.steps
    ]


def _sentences(step: Step, currency: str) -> Iterable[str]:
    figures = {name: money(n, currency) if name.endswith("_minor") else str(n) for name, n in step.figures.items()}
    unknown = f"{step.name}: {', '.join(f'{name} {n}' for name, n in figures.items())}"
    for text in SAID.get(step.name, (unknown, unknown)):
        try:
            yield text.format_map(figures)
        except KeyError:  # a step of a newer writer
            yield unknown


def money(minor: int, currency: str) -> str:
    """`1200000, CNY` -> `12,000.00 CNY`."""
    digits = _DIGITS.get(currency, 2)
    units, fraction = divmod(minor, 10**digits)
    return f"{units:,}.{fraction:0{digits}d} {currency}" if digits else f"{units:,} {currency}"
