"""Routes of institutions over their educational campaigns (Art. 22), which count in the institution's statistics.

Invariant: an institution sees and changes its own campaigns only.
"""

from __future__ import annotations

from pydantic import BaseModel
from starlette.responses import Response

from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import VIEWS
from gateway.http.problems import Problem
from gateway.http.responses import dumped
from gateway.http.roles import INSTITUTIONS
from gateway.oversight.responses import CampaignIn, CampaignOut, OversightMoveIn, campaign_out
from gateway.oversight.routes import Make, OversightRequest, oversight_command
from schemas.oversight.oversight import Campaign, CampaignMoveKind, about


async def get_campaign(call: Call) -> Response:
    """Returns a campaign of yours."""
    return dumped(campaign_out(await _load_campaign(call)))


async def _load_campaign(call: Call) -> Campaign:
    record = await call.services.views.overseen(about("campaign", call.request.path_params["campaign_id"]))
    if not isinstance(record, Campaign) or record.institution != call.caller.subject:
        raise Problem("not-found", "you reported no such campaign")
    return record


async def _report_campaign(call: Call, body: CampaignIn, move_id: str) -> OversightRequest:
    """Reports a campaign: its time, and the number of persons reached."""
    return _request_move(call, f"cam-{move_id[4:]}", CampaignMoveKind.REPORT, body)


async def _correct_campaign(call: Call, body: CampaignIn, move_id: str) -> OversightRequest:
    """Corrects a campaign of yours."""
    return _request_move(call, (await _load_campaign(call)).campaign_id, CampaignMoveKind.REPORT, body)


async def _withdraw_campaign(call: Call, body: OversightMoveIn, move_id: str) -> OversightRequest:
    """Withdraws a campaign of yours."""
    return _request_move(call, (await _load_campaign(call)).campaign_id, CampaignMoveKind.WITHDRAW, body)


def _request_move(call: Call, name: str, kind: CampaignMoveKind, body: CampaignIn | OversightMoveIn) -> OversightRequest:
    return OversightRequest("campaign", name, {"kind": kind, "party": call.caller.subject, **body.model_dump()})


_ONE = "/v1/campaigns/{campaign_id}"
_COMMANDS: tuple[tuple[str, str, type[BaseModel], Make, str], ...] = (
    ("/v1/campaigns", "campaign", CampaignIn, _report_campaign, "Report a campaign"),
    (f"{_ONE}/correct", "campaign_correction", CampaignIn, _correct_campaign, "Correct a campaign"),
    (f"{_ONE}/withdraw", "campaign_withdraw", OversightMoveIn, _withdraw_campaign, "Withdraw a campaign"),
)
ENDPOINTS = [
    Endpoint("GET", _ONE, get_campaign, INSTITUTIONS, "Retrieve a campaign", answer=CampaignOut, problems=VIEWS),
    *(
        oversight_command(path, name, INSTITUTIONS, model, make, CampaignOut, summary)
        for path, name, model, make, summary in _COMMANDS
    ),
]
