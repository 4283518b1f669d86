"""Notifies the owner of a listed hub when signals name its number or site as a suspect's tool. Pure.

Invariant: the notice contains the hub's label, its kind, a region and a day; nothing of the case, the victim, the sender or the
score. Its id and time follow from these, so a recipient gets one for each hub, region and day, whatever requested it and how
often.
"""

from __future__ import annotations

from datetime import datetime, time

from schemas.cases.case import Case, JoinedSignal
from schemas.notices import Notification, NotificationKind
from schemas.policy import Policy
from schemas.signals.hubs import ListedHub
from stream_processors.domain.deadlines.calendar import SHANGHAI
from stream_processors.domain.notifications.notification import NotificationDraft, to_notification
from stream_processors.domain.signals import trust
from stream_processors.domain.signals.leads import is_lead


def impersonation(signal: JoinedSignal, before: Case | None, policy: Policy, now: datetime) -> tuple[Notification, ...]:
    """The notices of a signal that joined a case; `before` is the case without it. Leads of organized crime and tips cause none,
    and an owner needs no notice of its own report."""
    if is_lead(signal.kind) or trust.low(signal):
        return ()
    region = _place_of(signal.region, policy)
    before_it = _named_today(before, region, policy, now)
    rows = dict.fromkeys(subject.hub for subject in signal.subjects if subject.role == "suspect" and subject.hub is not None)
    hubs = (policy.hubs.row(name) for name in rows if name not in before_it)
    return tuple(_make_notice(row, row.owner, region, now) for row in hubs if row and row.owner not in (None, signal.institution))


def _named_today(case: Case | None, region: str, policy: Policy, now: datetime) -> set[str | None]:
    """The hubs that the case's listed signals named there today: their owners were notified."""
    if case is None:
        return set()
    day = now.astimezone(SHANGHAI).date()
    return {
        subject.hub
        for signal in case.signals
        if signal.accepted_at.astimezone(SHANGHAI).date() == day and not is_lead(signal.kind) and not trust.low(signal)
        if _place_of(signal.region, policy) == region
        for subject in signal.subjects
    }


def _place_of(region: str, policy: Policy) -> str:
    """The county if the policy knows it, else the city: so the notices of a hub and day are bounded."""
    return region if region in policy.counties else policy.city


def _make_notice(row: ListedHub, owner: str, region: str, now: datetime) -> Notification:
    day = now.astimezone(SHANGHAI).date()
    data = {"label": row.label or row.name, "subject_kind": row.kind, "region": region, "day": day.isoformat()}
    notification = NotificationDraft(owner, NotificationKind.IMPERSONATION, "impersonation", data)
    at = datetime.combine(day, time(), SHANGHAI)
    return to_notification(f"impersonation/{row.name}/{region}/{day}", notification, case_id=f"hub-{row.name}", at=at)
