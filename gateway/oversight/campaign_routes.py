"""Routes of institutions over their educational campaigns (Art. 22), which count in the institution's statistics.

Invariant: an institution sees and changes its own campaigns only.
"""

from __future__ import annotations

from starlette.responses import Response

from gateway.http.endpoint import Call, Endpoint
from gateway.http.responses import dumped
from gateway.oversight.responses import CampaignIn, CampaignOut, OversightMoveIn, OversightPendingOut, campaign_out
from gateway.oversight.routes import Wanted, act
from gateway.problems import Problem
from gateway.security.auth import Role
from schemas.oversight.oversight import Campaign, CampaignMoveKind, about

_INSTITUTIONS = frozenset({Role.INSTITUTION})


async def post_campaign(call: Call) -> Response:
    """Reports a campaign: its time, and the number of persons reached."""
    return _render_campaign(await act(call, CampaignIn, _told_of))


async def post_campaign_correction(call: Call) -> Response:
    """Corrects a campaign of yours."""
    return _render_campaign(await act(call, CampaignIn, _corrected))


async def post_campaign_withdraw(call: Call) -> Response:
    """Withdraws a campaign of yours."""
    return _render_campaign(await act(call, OversightMoveIn, _withdrawn))


async def get_campaign(call: Call) -> Response:
    """Returns a campaign of yours."""
    return dumped(campaign_out(await _own(call)))


async def _own(call: Call) -> Campaign:
    record = await call.services.views.overseen(about("campaign", call.request.path_params["campaign_id"]))
    if not isinstance(record, Campaign) or record.institution != call.caller.subject:
        raise Problem("not-found", "you reported no such campaign")
    return record


def _render_campaign(record: object) -> Response:
    if isinstance(record, Campaign):
        return dumped(campaign_out(record))
    assert isinstance(record, Response)
    return record


async def _told_of(call: Call, body: CampaignIn, move_id: str) -> Wanted:
    return _request_move(call, f"cam-{move_id[4:]}", CampaignMoveKind.REPORT, body)


async def _corrected(call: Call, body: CampaignIn, move_id: str) -> Wanted:
    return _request_move(call, (await _own(call)).campaign_id, CampaignMoveKind.REPORT, body)


async def _withdrawn(call: Call, body: OversightMoveIn, move_id: str) -> Wanted:
    return _request_move(call, (await _own(call)).campaign_id, CampaignMoveKind.WITHDRAW, body)


def _request_move(call: Call, name: str, kind: CampaignMoveKind, body: CampaignIn | OversightMoveIn) -> Wanted:
    return Wanted("campaign", name, {"kind": kind, "party": call.caller.subject, **body.model_dump()})


_VIEWS = ("views-rebuilding", "state-unavailable")
_TROUBLE = ("invalid-request", "stale-revision", "transition-not-allowed", "reference-reused", "log-unavailable", *_VIEWS)


def _post(path: str, handler: object, model: type[CampaignIn] | type[OversightMoveIn], summary: str) -> Endpoint:
    return Endpoint(
        "POST",
        path,
        handler,  # type: ignore[arg-type]
        _INSTITUTIONS,
        summary,
        body=model,
        body_required=model is CampaignIn,
        answers={200: CampaignOut, 202: OversightPendingOut},
        takes=("Idempotency-Key",),
        gives={202: ("Location", "Retry-After")},
        problems=_TROUBLE,
    )


_ONE = "/v1/campaigns/{campaign_id}"
ENDPOINTS = [
    _post("/v1/campaigns", post_campaign, CampaignIn, "Report a campaign"),
    Endpoint("GET", _ONE, get_campaign, _INSTITUTIONS, "One campaign", answers={200: CampaignOut}, problems=_VIEWS),
    _post(f"{_ONE}/correct", post_campaign_correction, CampaignIn, "Correct a campaign"),
    _post(f"{_ONE}/withdraw", post_campaign_withdraw, OversightMoveIn, "Withdraw a campaign"),
]
