"""Routes of the coordination body and of the units it appraises (Arts. 45 to 47): the yearly appraisal, supervision actions, data
requests.

Invariant: a unit's officer sees and answers only records about his unit; others look as if they did not exist. Every action is a
request in the log, and the response is the record after it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from gateway.commands.endpoints import command_endpoint
from gateway.commands.oversight_commands import OversightCommands
from gateway.http.call import Call
from gateway.http.caller import Role
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import OVERSIGHT_COMMAND, QUERY, VIEWS
from gateway.http.problems import Problem, of_refused
from gateway.http.request_body import read_json, read_query
from gateway.http.responses import LinksOut, dumped
from gateway.http.roles import COORDINATION, COORDINATORS, OFFICERS
from gateway.oversight.responses import (
    AnswerDeadlineIn,
    AppraisalOut,
    AppraisalPublishIn,
    DataDeadlineIn,
    DataRequestIn,
    DataRequestOut,
    DataRequestsOut,
    FigureDisputeIn,
    FindingIn,
    JwksOut,
    OversightMoveIn,
    OversightPendingOut,
    OversightQuery,
    RulingIn,
    SupervisionIn,
    SupervisionOut,
    SupervisionsOut,
    UnitAnswerIn,
    appraisal_out,
    campaign_out,
    data_out,
    supervision_out,
)
from gateway.security.audit import accessed
from gateway.settings import GatewaySettings
from schemas.oversight.appraisals import (
    FIGURES,
    Appraisal,
    AppraisalMove,
    AppraisalMoveKind,
    Supervision,
    SupervisionMove,
    SupervisionMoveKind,
    UnitResult,
)
from schemas.oversight.oversight import (
    PARTS,
    Campaign,
    CampaignMove,
    DataMove,
    DataMoveKind,
    DataRequest,
    OversightAction,
    Record,
    about,
)
from schemas.parsing import refused
from schemas.scorecards import CardKind
from schemas.security.signing import Ed25519Verifier, public_keys, public_path
from stream_processors.domain.scorecards import card

_NOT_THERE = "there is no such record, or you may not see it"


class OversightRequest(NamedTuple):
    """A requested action: the type of record, its name, and the members of the action."""

    part: str
    name: str | int
    fields: dict[str, Any]


Make = Callable[[Call, Any, str], Awaitable[OversightRequest]]
_MOVES: dict[str, Any] = {"appraisal": AppraisalMove, "supervision": SupervisionMove, "data": DataMove, "campaign": CampaignMove}


async def act(call: Call, model: type[BaseModel], make: Make) -> Record | Response:
    """Returns the record after the request, or that it is not decided yet."""
    commands, body = call.find_service(OversightCommands), await read_json(call, model)
    move_id = commands.move_id(call.caller, call.request.url.path, call.request.headers.get("idempotency-key"))
    requested = await make(call, body, move_id)
    fields = {"action_id": move_id, PARTS[requested.part][1]: requested.name, **requested.fields}
    try:
        move = _MOVES[requested.part].model_validate(fields)
    except ValidationError as error:
        raise of_refused(refused(error, "invalid-request")) from None
    action = OversightAction.trusted(about=about(requested.part, requested.name), **{requested.part: move})
    record = await commands.act(call.caller, action, body.model_dump_json())
    if record is None:
        where = _PLACES[requested.part].format(requested.name)
        return dumped(OversightPendingOut(links=LinksOut(self=where)), 202, {"Location": where, "Retry-After": "1"})
    return record


_PLACES = {
    "appraisal": "/v1/appraisals/{}",
    "supervision": "/v1/supervisions/{}",
    "data": "/v1/data-requests/{}",
    "campaign": "/v1/campaigns/{}",
}


def _render_record(record: Record | Response, call: Call) -> Response:
    if isinstance(record, Appraisal):
        return dumped(_appraisal_out(record, call))
    if isinstance(record, Supervision):
        return dumped(supervision_out(record, datetime.now(UTC)))
    if isinstance(record, DataRequest):
        return dumped(data_out(record))
    return dumped(campaign_out(record)) if isinstance(record, Campaign) else record


def _appraisal_out(record: Appraisal, call: Call) -> AppraisalOut:
    keys = public_keys(public_path(call.find_service(GatewaySettings).signing_path))
    mine = None if call.caller.role is Role.COORDINATOR else call.caller.may_work_on
    return appraisal_out(record, Ed25519Verifier(keys), mine)


def _coordination_body(call: Call) -> str:
    return call.find_service(GatewaySettings).coordination_body


def _year_of(call: Call) -> int:
    text = call.request.path_params["year"]
    if not (text.isascii() and text.isdecimal() and len(text) == 4 and 2000 <= int(text) < 2100):
        raise Problem("not-found", "the path names no valid year")
    return int(text)


# the year's appraisal


async def _open_year(call: Call, body: OversightMoveIn, move_id: str) -> OversightRequest:
    return OversightRequest("appraisal", _year_of(call), {"kind": AppraisalMoveKind.OPEN, "party": _coordination_body(call)})


async def _publish_year(call: Call, body: AppraisalPublishIn, move_id: str) -> OversightRequest:
    year = _year_of(call)
    fields = {"kind": AppraisalMoveKind.PUBLISH, "party": _coordination_body(call), **body.model_dump(exclude={"results"})}
    results = [result.model_dump() for result in body.results] if body.results else await _count_year(call, year)
    return OversightRequest("appraisal", year, {**fields, "results": results})


async def _count_year(call: Call, year: int) -> list[dict[str, Any]]:
    """The exact figures of the year from the views: nothing is hidden from the unit that is judged by them."""
    book = await call.services.views.book(CardKind.UNIT, str(year))
    scorecard = card(book, kind=CardKind.UNIT, period=str(year), threshold=0)
    return [
        UnitResult(unit=row.party, figures={name: n for name, n in row.counts.items() if name in FIGURES}).model_dump()
        for row in scorecard.rows
    ]


async def _dispute_figure(call: Call, body: FigureDisputeIn, move_id: str) -> OversightRequest:
    if not call.caller.may_work_on(body.unit):
        raise Problem("forbidden", "you do not act for this unit")
    fields = {"kind": AppraisalMoveKind.DISPUTE, "party": body.unit, "dispute_id": f"dis-{move_id[4:]}"}
    return OversightRequest("appraisal", _year_of(call), {**fields, **body.model_dump(exclude={"unit"})})


async def _decide_dispute(call: Call, body: RulingIn, move_id: str) -> OversightRequest:
    fields = {
        "kind": AppraisalMoveKind.DECIDE,
        "party": _coordination_body(call),
        "dispute_id": call.request.path_params["dispute_id"],
    }
    return OversightRequest("appraisal", _year_of(call), {**fields, **body.model_dump()})


async def _lock_year(call: Call, body: OversightMoveIn, move_id: str) -> OversightRequest:
    fields = {"kind": AppraisalMoveKind.LOCK, "party": _coordination_body(call), **body.model_dump()}
    return OversightRequest("appraisal", _year_of(call), fields)


async def get_appraisal(call: Call) -> Response:
    """Returns the appraisal of a year: the figures of all units for the coordination body, those of his units for an officer. For
    a locked one, whether the signature is valid."""
    record = await call.services.views.overseen(about("appraisal", _year_of(call)))
    if not isinstance(record, Appraisal):
        raise Problem("not-found", "there is no appraisal for this year")
    accessed(call.caller, "appraisal", year=record.year)
    return dumped(_appraisal_out(record, call))


async def get_appraisal_keys(call: Call) -> Response:
    """Returns the public keys that verify locked results, as a JWKS."""
    keys = public_keys(public_path(call.find_service(GatewaySettings).signing_path))
    return dumped(JwksOut(keys=[key.as_dict(private=False) for key in keys]))


# supervision measures and data requests


async def _load_record(call: Call, part: str) -> Any:
    """Returns the record of the path if it concerns the caller; both failures look the same."""
    record: Any = await call.services.views.overseen(about(part, call.request.path_params["record_id"]))
    if record is None or not (call.caller.role is Role.COORDINATOR or call.caller.may_work_on(record.unit)):
        raise Problem("not-found", _NOT_THERE)
    return record


async def _issue_supervision(call: Call, body: SupervisionIn, move_id: str) -> OversightRequest:
    fields = body.model_dump(exclude={"kind"}) | {"supervision_kind": body.kind}
    fields |= {"kind": SupervisionMoveKind.ISSUE, "party": _coordination_body(call)}
    return OversightRequest("supervision", f"sup-{move_id[4:]}", fields)


async def _request_data(call: Call, body: DataRequestIn, move_id: str) -> OversightRequest:
    fields = {"kind": DataMoveKind.REQUEST, "party": _coordination_body(call), **body.model_dump()}
    return OversightRequest("data", f"dat-{move_id[4:]}", fields)


def _make_step(part: str, kind: str) -> Make:
    """An action on an existing record, by the body or by the unit that it concerns."""

    async def make(call: Call, body: BaseModel, move_id: str) -> OversightRequest:
        record = await _load_record(call, part)
        party = _coordination_body(call) if call.caller.role is Role.COORDINATOR else record.unit
        return OversightRequest(part, call.request.path_params["record_id"], {"kind": kind, "party": party, **body.model_dump()})

    return make


async def get_supervision(call: Call) -> Response:
    """Returns a supervision action (通报, 约谈, 挂牌督办), its deadline and its answer."""
    return dumped(supervision_out(await _load_record(call, "supervision"), datetime.now(UTC)))


async def get_data_request(call: Call) -> Response:
    """Returns a data request."""
    return dumped(data_out(await _load_record(call, "data")))


async def get_supervisions(call: Call) -> Response:
    """Lists supervision actions, newest first: all of them, or those on the caller's units."""
    supervisions = [
        supervision_out(record, datetime.now(UTC))
        for record in await _list_records(call, "supervision", lambda record: record.issued_at)
    ]
    return dumped(SupervisionsOut.model_construct(supervisions=supervisions))


async def get_data_requests(call: Call) -> Response:
    """Lists data requests, newest first: all of them, or those to the caller's units."""
    requests = [data_out(record) for record in await _list_records(call, "data", lambda record: record.requested_at)]
    return dumped(DataRequestsOut.model_construct(data_requests=requests))


async def _list_records(call: Call, part: str, since: Callable[[Any], datetime]) -> list[Any]:
    query = read_query(call, OversightQuery)
    sees_all = call.caller.role is Role.COORDINATOR
    records: list[Any] = await call.services.views.all_overseen(part)
    mine = [record for record in records if sees_all or call.caller.may_work_on(record.unit)]
    chosen = [record for record in mine if query.unit in (None, record.unit) and query.state in (None, record.state)]
    accessed(call.caller, part, unit=query.unit, found=len(chosen))
    return sorted(chosen, key=since, reverse=True)[: query.limit]


_A, _S, _D = "/v1/appraisals/{year}", "/v1/supervisions", "/v1/data-requests"


def oversight_command(
    path: str, name: str, roles: frozenset[Role], model: type[BaseModel], make: Make, out: type[BaseModel], summary: str
) -> Endpoint:
    """The route of a move. `make`: what the body comes to; its docstring is the description."""

    async def submit(call: Call) -> Response:
        return _render_record(await act(call, model, make), call)

    return command_endpoint(
        path,
        submit,
        roles,
        summary,
        name=f"post_{name}",
        description=inspect.getdoc(make) or summary,
        body=model,
        answer=out,
        pending=OversightPendingOut,
        common=OVERSIGHT_COMMAND,
        problems=(),
    )


_ONE_S, _ONE_D = f"{_S}/{{record_id}}", f"{_D}/{{record_id}}"
_LOCK, _DECIDE = f"{_A}/lock", f"{_A}/disputes/{{dispute_id}}/decide"
_ONE: dict[str, Any] = {"problems": VIEWS}
_LIST: dict[str, Any] = {"query": OversightQuery, "problems": QUERY}
_COMMANDS: tuple[tuple[str, str, frozenset[Role], type[BaseModel], Make, type[BaseModel], str], ...] = (
    (f"{_A}/open", "appraisal_open", COORDINATORS, OversightMoveIn, _open_year, AppraisalOut, "Open the appraisal of a year"),
    (
        f"{_A}/publish",
        "appraisal_publish",
        COORDINATORS,
        AppraisalPublishIn,
        _publish_year,
        AppraisalOut,
        "Publish the figures of units",
    ),
    (f"{_A}/disputes", "dispute", OFFICERS, FigureDisputeIn, _dispute_figure, AppraisalOut, "Dispute a figure"),
    (_DECIDE, "ruling", COORDINATORS, RulingIn, _decide_dispute, AppraisalOut, "Rule on a dispute"),
    (_LOCK, "appraisal_lock", COORDINATORS, OversightMoveIn, _lock_year, AppraisalOut, "Lock and sign the result of a year"),
    (_S, "supervision", COORDINATORS, SupervisionIn, _issue_supervision, SupervisionOut, "Issue a supervision action"),
    (_D, "data_request", COORDINATORS, DataRequestIn, _request_data, DataRequestOut, "Create a data request"),
)
_KEYS = "/v1/appraisals/keys"
ENDPOINTS = [
    Endpoint("GET", _KEYS, get_appraisal_keys, COORDINATION, "List the keys that verify locked results", answer=JwksOut, **_ONE),
    Endpoint("GET", _A, get_appraisal, COORDINATION, "Retrieve the appraisal of a year", answer=AppraisalOut, **_ONE),
    Endpoint("GET", _S, get_supervisions, COORDINATION, "List supervision actions", answer=SupervisionsOut, **_LIST),
    Endpoint("GET", _ONE_S, get_supervision, COORDINATION, "Retrieve a supervision action", answer=SupervisionOut, **_ONE),
    Endpoint("GET", _D, get_data_requests, COORDINATION, "List data requests", answer=DataRequestsOut, **_LIST),
    Endpoint("GET", _ONE_D, get_data_request, COORDINATION, "Retrieve a data request", answer=DataRequestOut, **_ONE),
    *(oversight_command(*command) for command in _COMMANDS),
    *(
        oversight_command(
            f"{_ONE_S}/{kind}", f"supervision_{kind}", roles, model, _make_step("supervision", kind), SupervisionOut, summary
        )
        for kind, roles, model, summary in (
            ("answer", OFFICERS, UnitAnswerIn, "Answer a supervision action"),
            ("return", COORDINATORS, AnswerDeadlineIn, "Return an answer with a new deadline"),
            ("extend", COORDINATORS, AnswerDeadlineIn, "Extend the deadline of an answer"),
            ("accept", COORDINATORS, OversightMoveIn, "Accept an answer and lift the action"),
            ("withdraw", COORDINATORS, OversightMoveIn, "Withdraw a supervision action"),
        )
    ),
    *(
        oversight_command(f"{_ONE_D}/{path}", f"data_{kind}", roles, model, _make_step("data", kind), DataRequestOut, summary)
        for path, kind, roles, model, summary in (
            ("submit", "submit", OFFICERS, UnitAnswerIn, "Submit data"),
            ("extend", "extend", COORDINATORS, DataDeadlineIn, "Extend the deadline of a data request"),
            ("record-finding", "record_finding", COORDINATORS, FindingIn, "Record a finding: data concealed, omitted or refused"),
            ("clear-finding", "clear_finding", COORDINATORS, OversightMoveIn, "Withdraw a finding"),
            ("withdraw", "withdraw", COORDINATORS, OversightMoveIn, "Withdraw a data request"),
        )
    ),
]
