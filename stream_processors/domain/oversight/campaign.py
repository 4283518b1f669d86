"""Educational campaigns of institutions (Art. 22): reported, corrected, withdrawn. Pure.

Invariant: a campaign counts once, by its last report, and only its institution may change it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from schemas.oversight.oversight import Campaign, CampaignMove, CampaignMoveKind
from schemas.scorecards import CampaignFigures
from stream_processors.domain.oversight.revisions import RecordChange
from stream_processors.domain.refusal import Refusal

APPLIED_KEPT = 16
K = CampaignMoveKind


def decide(*, move: CampaignMove, record: Campaign | None, now: datetime) -> RecordChange[Campaign]:
    """Decides on the action."""
    if record is not None and record.institution == move.party and move.action_id in record.applied:
        return RecordChange(echo=True)
    refusal = _find_fault(move, record, now)
    if refusal is not None:
        return RecordChange(refusal=refusal)
    campaign = record or _open_campaign(move, now)
    changes: dict[str, Any] = (
        {"withdrawn": True} if move.kind is K.WITHDRAW else {"held_at": move.held_at, "people_reached": move.people_reached}
    )
    applied = (*campaign.applied[1 - APPLIED_KEPT :], move.action_id)
    changes |= {"revision": campaign.revision + 1, "changed_at": now, "applied": applied}
    return RecordChange(campaign.model_copy(update=changes))


def _open_campaign(move: CampaignMove, now: datetime) -> Campaign:
    return Campaign.trusted(
        campaign_id=move.campaign_id,
        institution=move.party,
        revision=0,
        reported_at=now,
        changed_at=now,
        held_at=move.held_at,
        people_reached=move.people_reached,
    )


def _find_fault(move: CampaignMove, campaign: Campaign | None, now: datetime) -> Refusal | None:
    if campaign is None and move.kind is K.WITHDRAW:
        return Refusal("not-found", "you reported no such campaign")
    if campaign is not None:
        if campaign.institution != move.party:
            return Refusal("not-found", "you reported no such campaign")
        if move.revision is not None and move.revision != campaign.revision:
            return Refusal("stale-revision", f"the campaign is at revision {campaign.revision}; read it again")
        if campaign.withdrawn:
            return Refusal("transition-not-allowed", "the campaign was withdrawn")
    if move.kind is K.REPORT and (move.held_at is None or move.people_reached is None):
        return Refusal("invalid-command", "a campaign requires its time and the number of persons that it reached")
    if move.held_at is not None and move.held_at > now:
        return Refusal("invalid-command", "a campaign can be reported only after it took place")
    return None


def figures(campaign: Campaign) -> CampaignFigures:
    """Its counts in the institution's scorecard."""
    return CampaignFigures.trusted(
        campaign_id=campaign.campaign_id,
        institution=campaign.institution,
        held_at=campaign.held_at,
        people_reached=campaign.people_reached,
        withdrawn=campaign.withdrawn,
    )
