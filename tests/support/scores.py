"""A case with its loop as the scorecards see it, and keys to sign results with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from joserfc.jwk import OKPKey

from schemas.oversight.appraisals import Appraisal, AppraisalMove, Supervision, SupervisionMove, UnitResult
from schemas.scorecards import FigureCell
from schemas.security.signing import Ed25519Signer, Ed25519Verifier
from stream_processors.domain.oversight import appraisal as appraisals
from stream_processors.domain.oversight import supervision as supervisions
from stream_processors.domain.scorecards import contributions, fold
from tests.support.builders import T0, after

UNIT = "public-security-630202"
BODY = "coordination-630200"
IN_AN_HOUR, IN_TWO_HOURS = after(hours=1), after(hours=2)
DAY, MONTH, YEAR = "2026-03-02", "2026-03", "2026"
KEY = OKPKey.derive_key("a key of the tests", "Ed25519")
SIGNER, VERIFIER = Ed25519Signer(KEY), Ed25519Verifier([KEY])


@dataclass(frozen=True)
class DeadlineOf:
    name: str = "acknowledge"
    run: int = 1
    about: str | None = None
    state: str = "open"
    started_at: datetime = T0
    due_at: datetime = IN_AN_HOUR
    stopped_at: datetime | None = None
    fired_at: datetime | None = None
    late: bool | None = None
    unit: str | None = None


@dataclass(frozen=True)
class OrderOf:
    order_id: str = "ord-1"
    kind: str = "stop_payment"
    recipient: str = "bank-001"
    state: str = "issued"
    issued_at: datetime | None = T0
    executed_at: datetime | None = None
    late: bool = False
    overdue: bool = False
    held_minor: int = 0
    paid_minor: int = 0
    currency: str | None = "CNY"


@dataclass(frozen=True)
class MeasureOf:
    measure_id: str = "mea-1"
    institution: str = "bank-001"
    kind: str = "blocked"
    recorded_at: datetime = T0
    amount_minor: int | None = None
    currency: str | None = "CNY"


@dataclass(frozen=True)
class CaseOf:
    queue: str = UNIT
    status: str = "open"
    opened_at: datetime = T0
    disposed_at: datetime | None = None
    disposition: str | None = None
    institutions: tuple[str, ...] = ("bank-001",)
    deadlines: tuple[Any, ...] = ()
    orders: tuple[Any, ...] = ()
    measures: tuple[Any, ...] = ()

    def but(self, **over: Any) -> CaseOf:
        return replace(self, **over)

    def disposed(self, how: str = "confirmed", at: datetime = IN_TWO_HOURS) -> CaseOf:
        return self.but(status="disposed", disposed_at=at, disposition=how)


class Whole:
    """A real case, with no loop yet."""

    deadlines = orders = measures = ()

    def __init__(self, case: Any) -> None:
        self._case = case

    def __getattr__(self, name: str) -> Any:
        return getattr(self._case, name)


def folded(*facts: Any) -> dict[FigureCell, int]:
    """The cells of the facts. None is a fact that carries nothing."""
    cells: dict[FigureCell, int] = {}
    for fact in facts:
        if fact is not None:
            fold(cells, contributions(fact))
    return cells


def of(cells: dict[FigureCell, int], party: str, period: str = MONTH) -> dict[str, int]:
    """A party's counts in a period, without its times."""
    found = {cell.figure: n for cell, n in cells.items() if (cell.party, cell.period) == (party, period)}
    return {figure: n for figure, n in found.items() if ":" not in figure}


def times(cells: dict[FigureCell, int], party: str, time: str, period: str = MONTH) -> int:
    """How many times of a sort a party has."""
    return sum(
        n for cell, n in cells.items() if (cell.party, cell.period) == (party, period) and cell.figure.startswith(f"{time}:")
    )


def result(unit: str = UNIT, **figures: int) -> UnitResult:
    return UnitResult(unit=unit, figures=figures or {"cases": 20, "acknowledge_late": 3})


def move(kind: str, party: str = BODY, number: int = 0, **over: Any) -> AppraisalMove:
    """A move of the appraisal of 2025, with what its kind needs."""
    needs: dict[str, dict[str, Any]] = {
        "publish": {"results": (result(),), "disputes_until": after(days=30)},
        "dispute": {"dispute_id": f"d-{number}", "figure": "acknowledge_late", "claimed_value": 1, "ground": "system_down"},
        "decide": {"dispute_id": f"d-{number}", "ruling": "upheld", "ruled_value": 1},
    }
    fields = {"action_id": f"{kind}-{number}", "kind": kind, "year": 2025, "party": party, **needs.get(kind, {}), **over}
    return AppraisalMove.model_validate(fields)


def played(*moves: tuple[AppraisalMove, datetime]) -> Appraisal:
    """The appraisal after moves that are all taken."""
    found: Appraisal | None = None
    for one, now in moves:
        change = appraisals.decide(move=one, record=found, now=now, signer=SIGNER)
        assert change.record is not None, change.refusal
        found = change.record
    assert found is not None
    return found


def locked() -> Appraisal:
    """A result that was disputed, ruled and locked."""
    return played(
        (move("open"), T0),
        (move("publish"), after(days=1)),
        (move("dispute", UNIT), after(days=2)),
        (move("decide"), after(days=3)),
        (move("lock"), after(days=31)),
    )


def step(kind: str, party: str = BODY, **over: Any) -> SupervisionMove:
    """A move of a supervision measure, with what its kind needs."""
    needs: dict[str, dict[str, Any]] = {
        "issue": {
            "unit": UNIT, "supervision_kind": "listed", "reason": "data_omitted", "answer_by": after(days=10),
            "document_number": "海平办〔2026〕7号",
        },
        "answer": {"document_number": "A-1"},
        "return": {"answer_by": after(days=40)},
        "extend": {"answer_by": after(days=20)},
    }  # fmt: skip
    fields = {"action_id": f"{kind}-1", "kind": kind, "supervision_id": "sup-1", "party": party, **needs.get(kind, {}), **over}
    return SupervisionMove.model_validate(fields)


def supervised(*moves: tuple[SupervisionMove, datetime]) -> Supervision:
    """The measure after moves that are all taken."""
    found: Supervision | None = None
    for one, now in moves:
        change = supervisions.decide(move=one, record=found, now=now)
        assert change.record is not None, change.refusal
        found = change.record
    assert found is not None
    return found
