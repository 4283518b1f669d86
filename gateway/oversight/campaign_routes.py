"""Routes of institutions over their educational campaigns (Art. 22), which count in the institution's statistics.

Invariant: an institution sees and changes its own campaigns only.
"""

from __future__ import annotations

from starlette.responses import Response

from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import VIEWS
from gateway.http.problems import Problem
from gateway.http.responses import dumped
from gateway.http.roles import INSTITUTIONS
from gateway.oversight.responses import CampaignIn, CampaignOut, OversightMoveIn, campaign_out
from gateway.oversight.routes import Wanted, oversight_command
from schemas.oversight.oversight import Campaign, CampaignMoveKind, about


async def get_campaign(call: Call) -> Response:
    """Returns a campaign of yours."""
    return dumped(campaign_out(await _own(call)))


async def _own(call: Call) -> Campaign:
    record = await call.services.views.overseen(about("campaign", call.request.path_params["campaign_id"]))
    if not isinstance(record, Campaign) or record.institution != call.caller.subject:
        raise Problem("not-found", "you reported no such campaign")
    return record


async def _told_of(call: Call, body: CampaignIn, move_id: str) -> Wanted:
    """Reports a campaign: its time, and the number of persons reached."""
    return _request_move(call, f"cam-{move_id[4:]}", CampaignMoveKind.REPORT, body)


async def _corrected(call: Call, body: CampaignIn, move_id: str) -> Wanted:
    """Corrects a campaign of yours."""
    return _request_move(call, (await _own(call)).campaign_id, CampaignMoveKind.REPORT, body)


async def _withdrawn(call: Call, body: OversightMoveIn, move_id: str) -> Wanted:
    """Withdraws a campaign of yours."""
    return _request_move(call, (await _own(call)).campaign_id, CampaignMoveKind.WITHDRAW, body)


def _request_move(call: Call, name: str, kind: CampaignMoveKind, body: CampaignIn | OversightMoveIn) -> Wanted:
    return Wanted("campaign", name, {"kind": kind, "party": call.caller.subject, **body.model_dump()})


_ONE = "/v1/campaigns/{campaign_id}"
ENDPOINTS = [
    oversight_command("/v1/campaigns", "campaign", INSTITUTIONS, CampaignIn, _told_of, CampaignOut, "Report a campaign"),
    oversight_command(
        f"{_ONE}/correct", "campaign_correction", INSTITUTIONS, CampaignIn, _corrected, CampaignOut, "Correct a campaign"
    ),
    oversight_command(
        f"{_ONE}/withdraw", "campaign_withdraw", INSTITUTIONS, OversightMoveIn, _withdrawn, CampaignOut, "Withdraw a campaign"
    ),
    Endpoint("GET", _ONE, get_campaign, INSTITUTIONS, "One campaign", answer=CampaignOut, problems=VIEWS),
]
