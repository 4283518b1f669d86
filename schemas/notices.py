"""Notices: notifications of recipients because of a case. A stage turns each into a record keyed by its recipient.

Invariant: a notice contains no readable subject and no sentence, but the key of one (`template`) and its data. Its id follows
from the causing action or from its content, so that reprocessing notifies nobody twice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints

from schemas.appeals import AppealUpdate
from schemas.common import Instant, Name, PartyId, Stored
from schemas.feedback import EarlyWarning, Feedback, RetractionNotice
from schemas.signals.subjects import Subject

NotificationId = Annotated[str, StringConstraints(min_length=1, max_length=400)]
"""`action/about/n`: the n-th notice about an order or dissuasion that an action caused."""


class NotificationKind(StrEnum):
    """ORDER asks for an action; RELEASE ends or reverses one. FEEDBACK gives an outcome. CLOCK: a deadline is near or has ended.
    IMPERSONATION: signals name a number or site of the recipient (schemas/signals/hubs.py)."""

    ORDER = "order"
    RELEASE = "release"
    EXPIRY_WARNING = "expiry_warning"
    EARLY_WARNING = "early_warning"
    CORRECTION = "correction"
    RETRACTION = "retraction"
    FEEDBACK = "feedback"
    DISSUASION = "dissuasion"
    APPEAL = "appeal"
    DEADLINE = "deadline"
    IMPERSONATION = "impersonation"


class Notification(Stored):
    """`recipient` is an institution or agency. `template` is the key of the sentence and `data` its values (money in minor units,
    times as RFC 3339). The value of `subject` opens in the context of its order, dissuasion or signal. `feedback` to `appeal`:
    the details of the kinds that carry more than a sentence."""

    notification_id: NotificationId
    recipient: PartyId
    kind: NotificationKind
    case_id: Name
    template: Name
    at: Instant
    order_id: Name | None = None
    dissuasion_id: Name | None = None
    subject: Subject | None = None
    data: dict[str, int | str] = Field(default={}, max_length=16)
    feedback: Feedback | None = None
    warning: EarlyWarning | None = None
    retraction: RetractionNotice | None = None
    appeal: AppealUpdate | None = None


class Wording(NamedTuple):
    """The sentence of a notice in Chinese and English; `{name}` stands for data."""

    zh: str
    en: str


SAID: dict[str, Wording] = {
    "order_issued": Wording("请依令办理并回复（{kind}）", "carry out this order and answer it ({kind})"),
    "order_released": Wording(
        "请解除 {related_order_id} 号指令的措施并回复", "lift the hold of the order {related_order_id}, and answer"
    ),
    "order_partially_released": Wording(
        "请解除 {related_order_id} 号指令的部分金额（{amount_minor}，最小货币单位），其余照旧，并回复",
        "lift {amount_minor} (minor units) of the hold of the order {related_order_id}, keep the rest, and answer",
    ),
    "order_renewed": Wording("该指令续期至 {until}", "this order is renewed until {until}"),
    "order_answer_overdue": Wording("该指令逾期未回复", "this order was not answered in time"),
    "order_expires_soon": Wording("该指令将于 {until} 到期", "this order ends at {until}"),
    "order_expired": Wording(
        "该指令已到期，不得执行，已采取的措施应解除", "this order has ended: do not execute it; lift any hold"
    ),
    "order_superseded": Wording("该止付已被冻结取代，不得再执行", "a freeze replaced this stop: do not carry it out"),
    "order_lift_required": Wording("该指令在执行前已终止，请立即解除", "this order had ended before execution: lift it at once"),
    "order_approval_required": Wording("该指令待第二人审批", "this order awaits approval by a second person"),
    "order_rejected": Wording("该指令未获批准", "this order was rejected"),
    "order_withdrawn": Wording("该指令已撤回", "this order was withdrawn"),
    "order_mismatch": Wording("核对不符，未止付：{fields}", "not stopped, because these fields differ: {fields}"),
    "order_refused": Wording("{recipient} 拒绝执行：{reason}", "{recipient} refused the order: {reason}"),
    "order_failed": Wording("{recipient} 执行失败：{reason}", "{recipient} could not carry out the order: {reason}"),
    "order_executed": Wording("{recipient} 已执行", "{recipient} carried out the order"),
    "order_executed_after_end": Wording(
        "{recipient} 在指令终止后执行，已要求解除", "{recipient} executed it after its end, and must lift it"
    ),
    "order_paid_after_end": Wording(
        "{recipient} 在指令终止后已返还", "{recipient} paid the money back after the end of the order"
    ),
    "order_lifted": Wording("{recipient} 已解除", "{recipient} no longer holds anything"),
    "dissuasion_requested": Wording(
        "受害人面临风险，请尽快劝阻", "a person is about to lose money: reach and dissuade this person"
    ),
    "dissuasion_taken": Wording(
        "劝阻任务已有单位接手，请勿重复联系", "another recipient works with this person now: do not call"
    ),
    "dissuasion_reopened": Wording("劝阻任务退回，请接手", "this dissuasion is open again: take it"),
    "dissuasion_attempted": Wording(
        "已尝试劝阻 {attempt_count} 次", "{attempt_count} attempt(s) were made to dissuade the person"
    ),
    "dissuasion_overdue": Wording("劝阻任务超时无人处置", "nobody acted on this dissuasion in time"),
    "deadline_approaching": Wording(
        "{deadline} 时限将于 {due_at} 届满（{basis}）", "the deadline {deadline} ends at {due_at} ({basis})"
    ),
    "deadline_passed": Wording(
        "{deadline} 时限已于 {due_at} 届满（{basis}）", "the deadline {deadline} ended at {due_at} ({basis})"
    ),
    "deadline_escalated": Wording("{deadline} 时限届满后仍未办理，已上报", "{deadline} ended at {due_at} and is still not done"),
    "public_notice_ended": Wording(
        "公告期已于 {due_at} 届满，可以返还（{basis}）", "the notice ended at {due_at}: pay it back ({basis})"
    ),
    "feedback": Wording("您报送的线索有新进展", "a signal that you sent has news"),
    "early_warning": Wording(
        "您报送或持有的对象另有单位报送", "other institutions report a subject that you reported or hold, too"
    ),
    "retraction": Wording("相关线索已撤回或更正，请核对已采取的措施", "a signal was retracted: review your steps because of it"),
    "appeal": Wording("当事人申诉有新进展", "an appeal has news"),
    "impersonation": Wording(
        "线索中出现 {label}（{region}，{day}），可能被冒用", "signals of {day} in {region} name {label}: it may be impersonation"
    ),
    "dissuasion_ended": Wording("劝阻任务结束：{outcome}", "this dissuasion has ended: {outcome}"),
}
"""Key -> sentence. No sentence names a person: the sealed subject of the notice does."""


def told(notice: Notification) -> Wording:
    """Returns the sentences of a notice, filled in. The key of a newer writer is shown by its name."""
    sentences = SAID.get(notice.template)
    if sentences is None:
        return Wording(notice.template, notice.template)
    data = {name: str(value) for name, value in notice.data.items()}
    return Wording(*(_fill(text, data) for text in sentences))


def _fill(text: str, data: dict[str, str]) -> str:
    for name, value in data.items():
        text = text.replace("{" + name + "}", value)
    return text
