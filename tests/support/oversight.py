"""Requests of the coordination body and of institutions, as records."""

from __future__ import annotations

from typing import Any

from schemas.codec import encode
from schemas.oversight.oversight import PARTS, CampaignMove, DataMove, OversightAction, about
from schemas.topics import APPRAISAL_COMMANDS
from tests.support.builders import T0, after
from tests.support.scores import BODY, UNIT


def ask(kind: str = "request", party: str = BODY, **over: Any) -> DataMove:
    """A move of a data request, with what its kind needs."""
    needs: dict[str, dict[str, Any]] = {
        "request": {"unit": UNIT, "due_at": after(days=10), "document_number": "海平办〔2026〕9号"},
        "extend": {"due_at": after(days=20)},
        "submit": {"document_number": "B-1"},
        "record_finding": {"finding": "omitted"},
    }
    fields = {"action_id": f"{kind}-1", "kind": kind, "request_id": "dat-1", "party": party, **needs.get(kind, {}), **over}
    return DataMove.model_validate(fields)


def campaign(kind: str = "report", party: str = "bank-001", **over: Any) -> CampaignMove:
    needs = {"held_at": after(days=-1), "people_reached": 1200} if kind == "report" else {}
    fields = {"action_id": f"{kind}-1", "kind": kind, "campaign_id": "cam-1", "party": party, **needs, **over}
    return CampaignMove.model_validate(fields)


def action_of(move: Any) -> OversightAction:
    part, name = next((part, name) for part, (_, name) in PARTS.items() if type(move).__name__.lower().startswith(part[:4]))
    return OversightAction(**{"about": about(part, getattr(move, name)), part: move})


def oversight_record(move: Any, actor: str = "officer:coordinator-1") -> tuple[bytes, bytes]:
    """Key and value as the gateway appends them."""
    action = action_of(move)
    value = encode(APPRAISAL_COMMANDS, action, id=move.action_id, source="/gateway", actor=actor, time=T0, subject=action.about)
    return action.about.encode(), value
