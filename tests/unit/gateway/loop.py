"""What the tests of the loop's routes share: a case in the hands of an officer, bodies, what was written."""

from __future__ import annotations

from typing import Any

from gateway.http.problem_table import TYPE_PREFIX
from gateway.services import Services
from schemas.cases.case import CaseStatus
from schemas.codec import decode
from schemas.common import from_ms
from schemas.topics import CASE_COMMANDS
from tests.unit.gateway.fakes import T0, FakeLog, FakeViews, a_case, with_the_loop

LATER = from_ms(4_000_000_000_000)
HELD = {"status": CaseStatus.CLAIMED, "holder": "officer-1", "lease_until": LATER, "acknowledged_at": T0}
STOP: dict[str, Any] = {
    "kind": "stop_payment",
    "recipient": "bank-001",
    "subject": {"kind": "account", "value": "6222 0210 0100 001"},
    "verify": {
        "name": "王某某",
        "account": "622202100100001",
        "amount": {"minor": 100},
        "occurred_at": "2026-03-02T07:00:00Z",
    },
    "amount": {"minor": 100},
    "basis": "条例第二十二条",
}
WARNED: dict[str, Any] = {
    "kind": "warned",
    "reference": "w-1",
    "done_at": "2026-03-02T07:59:00Z",
    "channel": "call",
    "reaction": "heeded",
    "note": "已电话提醒客户",
}
FIELDS = ["name", "account", "amount", "time"]


def put(services: Services, n: int = 1, *, loop: bool = False, **changes: Any) -> str:
    """A case in the views; its id."""
    views: FakeViews = services.views  # type: ignore[assignment]
    case = a_case(services.tokenizer, services.sealer, n, **changes)
    views.cases[case.case_id] = with_the_loop(case, services.tokenizer, services.sealer) if loop else case
    return case.case_id


def slug(response: Any) -> str:
    return response.json()["type"].removeprefix(TYPE_PREFIX)


def said(response: Any) -> tuple[int, str]:
    return response.status_code, slug(response)


def actions(log: FakeLog) -> list[Any]:
    return [decode(CASE_COMMANDS, entry.value) for entry in log.all(CASE_COMMANDS)]
