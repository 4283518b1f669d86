"""Sentences behind a score in Chinese and English, rendered from rule and evidence when people read them, so the log contains
neither.

Invariant: every rule has its sentence (a test holds it). A rule of a newer writer is shown by its name and evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pydantic import BaseModel

from schemas.signals.assessed import Reason
from schemas.signals.taxonomy import KINDS


class RuleText(NamedTuple):
    """The sentence of a rule; `{name}` stands for evidence. `own`: it depends on the signal alone, so the sender may read it."""

    zh: str
    en: str
    own: bool = False


class ReasonOut(BaseModel):
    """A reason as people read it."""

    rule: str
    points: int
    evidence: dict[str, int | str]
    zh: str
    en: str


SAID: dict[str, RuleText] = {
    "kind": RuleText("线索类别：{kind}", "kind of signal: {kind}", own=True),
    "stage": RuleText("所处阶段：{stage}", "stage: {stage}", own=True),
    "amount": RuleText("涉案金额 {amount_minor} 元", "{amount_minor} yuan at stake", own=True),
    "loss": RuleText("受害人已损失 {loss_minor} 元", "the victim lost {loss_minor} yuan", own=True),
    "freshness": RuleText("事发 {age_s} 后即上报", "reported {age_s} after the event", own=True),
    "velocity": RuleText("同一嫌疑对象近期出现 {sightings} 次", "the same suspect was reported {sightings} times recently"),
    "institutions": RuleText("{institutions} 家机构报告同一嫌疑对象", "{institutions} institutions reported the same suspect"),
    "confirmed": RuleText("嫌疑对象曾在 {cases} 起案件中被查实", "the suspect was confirmed in {cases} earlier case(s)"),
    "repeat_victim": RuleText("受害人此前曾 {events} 次涉案", "the victim was a victim before, in {events} other event(s)"),
    "contact": RuleText(
        "涉诈通联与本人付款相距 {gap_s}", "{gap_s} between a suspicious call or message and a payment by the same person"
    ),
    "repeated_pair": RuleText(
        "同一对收付款方短期内转账 {transfers} 笔", "{transfers} transfers between the same two ends in a short time"
    ),
    "fan_in": RuleText("短期内 {payers} 个付款方汇入（集中转入）", "{payers} different payers in a short time (fan-in)"),
    "fan_out": RuleText("短期内汇出至 {payees} 个收款方（分散转出）", "{payees} different payees in a short time (fan-out)"),
    "pass_through": RuleText(
        "相近金额停留 {held_s} 即转出（快进快出）", "nearly the same amount was passed on after {held_s} (pass-through)"
    ),
    "trust": RuleText("公众举报，未经核实，分值折减", "a tip from the public, not verified: fewer points", own=True),
    "new_domain": RuleText("网站域名在事发前 {domain_age_s} 注册", "the domain was registered {domain_age_s} before the event"),
}

_STAGES = {
    "lure": ("引流", "lure"),
    "contact": ("接触", "contact"),
    "inducement": ("诱导", "inducement"),
    "payment_pending": ("待付款", "payment pending"),
    "paid": ("已付款", "paid"),
    "cash_out": ("取现转移", "cashing out"),
}
_SPANS = ((86_400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min"), (1, "秒", "s"))


def is_own(rule: str) -> bool:
    """Whether the sender of a signal may read the reason of this rule."""
    return rule in SAID and SAID[rule].own


def told(reasons: Iterable[Reason]) -> list[ReasonOut]:
    """For officers of a case: all reasons. For a sender: those of a receipt, which are its own."""
    return [_explain_reason(reason) for reason in reasons]


def _explain_reason(reason: Reason) -> ReasonOut:
    sentences = SAID.get(reason.rule)
    zh, en = (_filled(text, reason.evidence, at) for at, text in enumerate(sentences[:2])) if sentences else (None, None)
    plain = ", ".join(f"{name} {value}" for name, value in reason.evidence.items())
    unknown = f"{reason.rule}: {plain}"
    evidence = dict(reason.evidence)
    return ReasonOut(rule=reason.rule, points=reason.points, evidence=evidence, zh=zh or unknown, en=en or unknown)


def _filled(text: str, evidence: Mapping[str, int | str], language: int) -> str | None:
    """None if the evidence does not match this version of the rule."""
    try:
        return text.format_map({name: _value(name, value, language) for name, value in evidence.items()})
    except KeyError:
        return None


def _value(name: str, value: int | str, language: int) -> str:
    if isinstance(value, int):
        if name.endswith("_minor"):
            return f"{value // 100:,}.{value % 100:02d}"
        return _span(value, language) if name.endswith("_s") else str(value)
    kind = next(((legal_kind.zh, legal_kind.en) for signal_kind, legal_kind in KINDS.items() if signal_kind == value), None)
    names = kind if name == "kind" else _STAGES.get(value) if name == "stage" else None
    return names[language] if names else value


def _span(span_s: int, language: int) -> str:
    """`7,260` -> `2 小时 1 分钟`, `2 h 1 min`: the two largest units."""
    parts: list[str] = []
    for size, *units in _SPANS:
        if (n := span_s // size) and len(parts) < 2:
            parts.append(f"{n} {units[language]}")
            span_s -= n * size
        elif parts:
            break
    return " ".join(parts) or f"0 {_SPANS[-1][1 + language]}"
