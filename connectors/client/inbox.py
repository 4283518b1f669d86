"""The inbox of an institution, as steps: its notices (orders, early warnings, feedback, corrections) and their confirmation.

Invariant: a notice counts as received only when the next page is requested, so a program that dies before gets it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import AwareDatetime

from .models import ResponseModel
from .requests import model_of
from .sansio import HttpRequest, RetryPolicy, Steps, until_answered

WAIT_S = 20.0
PAGE = 50


class InboxNotification(ResponseModel):
    """One notice. `template` is the key of its sentence, `zh` and `en` the sentence; the other members depend on its `kind`
    (docs/guide/delivery.md). `cursor`: its position; None for a notice that was read alone."""

    cursor: str | None = None
    notification_id: str
    kind: str
    template: str
    zh: str
    en: str
    at: AwareDatetime
    case_id: str
    order: Mapping[str, Any] | None = None
    dissuasion: Mapping[str, Any] | None = None
    subject: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    feedback: Mapping[str, Any] | None = None
    warning: Mapping[str, Any] | None = None
    retraction: Mapping[str, Any] | None = None
    appeal: Mapping[str, Any] | None = None


class InboxPage(ResponseModel):
    """Notices, the oldest first. `next_cursor`: the `after` of the next call, which confirms that these arrived."""

    items: Sequence[InboxNotification]
    next_cursor: str | None = None
    has_more: bool


def page(after: str | None, wait_s: float, limit: int, patience: RetryPolicy) -> Steps[InboxPage]:
    """Returns the notices after `after`. If there are none, waits for the first, at most `wait_s` (the gateway: 30)."""
    query = {"wait_s": f"{wait_s:g}", "limit": str(limit)} | ({"after": after} if after is not None else {})
    reply = yield from until_answered(HttpRequest("GET", f"/v1/inbox?{urlencode(query)}"), patience)
    return model_of(InboxPage, reply)


def acknowledge(notification_id: str, patience: RetryPolicy) -> Steps[InboxNotification]:
    path = f"/v1/inbox/{quote(notification_id, safe='')}/acknowledge"
    return model_of(InboxNotification, (yield from until_answered(HttpRequest("POST", path), patience)))
