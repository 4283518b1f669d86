"""What reaches an institution, as steps: its notices (orders, early warnings, feedback, corrections), and that it has them.

Invariant: a notice counts as received only when what lies behind it is asked for, so a program that dies before gets it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import AwareDatetime

from .models import Told
from .requests import model_of
from .sansio import Patience, Request, Steps, until_answered

WAIT_S = 20.0
PAGE = 50


class Notice(Told):
    """One notice. `says` names its sentence, `zh` and `en` are it; the others hold what it is about, by its `kind`, as
    docs/guide/delivery.md tells. `cursor`: where it stands; None where a single one was asked for."""

    cursor: str | None = None
    notice_id: str
    kind: str
    says: str
    zh: str
    en: str
    at: AwareDatetime
    case_id: str
    order: Mapping[str, Any] | None = None
    task: Mapping[str, Any] | None = None
    subject: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    feedback: Mapping[str, Any] | None = None
    warning: Mapping[str, Any] | None = None
    taken_back: Mapping[str, Any] | None = None
    objection: Mapping[str, Any] | None = None


class Page(Told):
    """Notices, the oldest first. `next`: give it as `after` of the next call, which says that these have come."""

    items: Sequence[Notice]
    next: str | None = None
    more: bool


def page(after: str | None, wait_s: float, limit: int, patience: Patience) -> Steps[Page]:
    """What lies behind `after`; when there is nothing, as soon as something comes, for `wait_s` at most (the gateway: 30)."""
    query = {"wait_s": f"{wait_s:g}", "limit": str(limit)} | ({"after": after} if after is not None else {})
    reply = yield from until_answered(Request("GET", f"/v1/inbox?{urlencode(query)}"), patience)
    return model_of(Page, reply)


def acknowledge(notice_id: str, patience: Patience) -> Steps[Notice]:
    path = f"/v1/inbox/{quote(notice_id, safe='')}/acknowledge"
    return model_of(Notice, (yield from until_answered(Request("POST", path), patience)))
