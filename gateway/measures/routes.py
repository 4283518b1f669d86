"""Routes for measures of institutions: warned, blocked, reported (Arts. 21, 22).

Invariant: a measure counts once, by its institution's reference. Every case of its signal records it, so that no deadline of a
linked case keeps running.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pydantic import BaseModel, RootModel
from starlette.responses import Response

from gateway.adapters.idempotency import Remembered
from gateway.commands.admission import find_own_signal
from gateway.commands.case_commands import ActionMemo, PendingAction
from gateway.commands.case_requests import act, action_of, live_case, pending_reply, protector, wanted_of
from gateway.commands.endpoints import command_endpoint
from gateway.http.call import Call
from gateway.http.problems import Problem, later
from gateway.http.request_body import read_json
from gateway.http.responses import dumped
from gateway.http.roles import INSTITUTIONS
from gateway.rendering.case_parts import MeasureOut, teller
from schemas.cases.case import ActionKind, Case
from schemas.measures import Measure, MeasureIn
from schemas.security import Tokenizer
from stream_processors.views.allowed_actions import MERGES_FOLLOWED

_MARKS = {"recorded_at", "late", "done_late", "note_sealed", "agency_reference_sealed"}
"""Members of a measure that come from the log or are sealed anew on each request."""


class MeasureBody(RootModel[MeasureIn]):
    """A measure: `warned` (channel and reaction), `blocked` (object, amount held, end) or `reported` (agency). `reference` is
    your own name of it: a repeated one counts once. `note` and `number` are sealed before they leave the gateway."""


class MeasuredOut(BaseModel):
    """The measure as each case of the signal records it, without cases that have not decided yet; then the status is 202."""

    measures: list[MeasureOut]


async def post_case_measure(call: Call) -> Response:
    """Reports a measure for a case that you are part of. It starts and stops your deadlines; a late one is kept and marked."""
    body = (await read_json(call, MeasureBody)).root
    outcome = await _record_measure(call, await live_case(call), body)
    return pending_reply(outcome) if isinstance(outcome, PendingAction) else dumped(outcome)


async def post_signal_measure(call: Call) -> Response:
    """Reports a measure by your signal's id: every case of the signal records it."""
    body = (await read_json(call, MeasureBody)).root
    signal_id, cases = await _load_cases(call)
    body = body.model_copy(update={"signal_id": body.signal_id or signal_id})
    outcomes = await asyncio.gather(*(_record_measure(call, case, body) for case in cases), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome  # what was taken stays: the same again is an echo there
    measures = list({measure.case_id: measure for measure in outcomes if isinstance(measure, MeasureOut)}.values())
    pending = next((result for result in outcomes if isinstance(result, PendingAction)), None)
    return dumped(MeasuredOut(measures=measures)) if pending is None else pending_reply(pending)


async def _record_measure(call: Call, case: Case, body: MeasureIn) -> MeasureOut | PendingAction:
    """The decision of the case, or of its successor. An existing measure is returned from there."""
    institution = call.caller.subject
    name = measure_id(call.services.tokenizer, institution, body.reference)
    made = protector(call).measure(body, name, institution, datetime.now(UTC))
    if (stored := await _find_measure(call, case, made)) is not None:
        there, holder = stored
        render = teller(call).measure
        same_number = render(there, holder).agency_reference == render(made, holder).agency_reference
        if not same_number or there.model_dump(exclude=_MARKS) != made.model_dump(exclude=_MARKS):
            raise Problem("reference-reused", "you used this reference for another measure")
        return render(there, holder)
    requested = wanted_of(ActionKind.MEASURE, "measure", body, lambda: {"measure": made})
    print_ = call.services.tokenizer.token("print", requested.text)
    action_id = action_of(call, "measure", case.case_id, body.reference, print_)
    outcome = await act(call, case, requested, action_id)
    if isinstance(outcome, PendingAction):
        return outcome
    stored = await _find_measure(call, outcome, made)
    if stored is None:  # the case that decided hands it over, and the one that takes it in is not in the views yet
        return PendingAction(action_id, ActionMemo(call.caller.actor, case.case_id, requested.kind.value, print_))
    return teller(call).measure(*stored)


async def _find_measure(call: Call, case: Case, made: Measure) -> tuple[Measure, Case] | None:
    """The recorded measure and its case: this one, or one that absorbed it or got the measure's signal."""
    line, visited = [case], {case.case_id}
    for holder in line:
        if (there := next((measure for measure in holder.measures if measure.measure_id == made.measure_id), None)) is not None:
            return there, holder
        split = (into for signal, into in holder.split_off.items() if signal.partition("/")[0] == made.signal_id)
        for into in dict.fromkeys((*split, holder.merged_into)):
            if into is not None and into not in visited and len(visited) <= MERGES_FOLLOWED:
                visited.add(into)
                line += [other for other in [await call.services.views.case(into)] if other is not None]
    return None


def measure_id(tokenizer: Tokenizer, institution: str, reference: str) -> str:
    """A keyed name of (institution, reference): it reveals nothing and never changes."""
    return "msr-" + tokenizer.token("measure", institution, reference).partition(".")[2]


async def _load_cases(call: Call) -> tuple[str, list[Case]]:
    """The counting signal and its cases. Duplicate content under another reference belongs to its first signal."""
    receipt = await find_own_signal(call, call.request.path_params["signal_id"])
    if not isinstance(receipt, Remembered) and receipt.duplicate_of is not None:
        receipt = await find_own_signal(call, receipt.duplicate_of)
    if isinstance(receipt, Remembered):
        raise later(
            "signal-without-case", "the signal has not been assessed yet; retry in a moment", call.services.settings.retry_after_s
        )
    if not receipt.cases:
        raise Problem("signal-without-case", "the signal belongs to no case: it opened none, or it was retracted")
    candidates = [await call.services.views.case(case_id) for case_id in receipt.cases]
    cases = [case for case in candidates if case is not None]
    if len(cases) < len(candidates):
        raise later(
            "signal-without-case",
            "the case of the signal is being opened; retry in a moment",
            call.services.settings.retry_after_s,
        )
    return receipt.signal_id, cases


_REFUSALS = ("time-out-of-range", "too-many-measures")
ENDPOINTS = [
    command_endpoint(
        "/v1/cases/{case_id}/measures",
        post_case_measure,
        INSTITUTIONS,
        "Report a measure for a case",
        body=MeasureBody,
        answer=MeasureOut,
        problems=_REFUSALS,
    ),
    command_endpoint(
        "/v1/signals/{signal_id}/measures",
        post_signal_measure,
        INSTITUTIONS,
        "Report a measure for a signal",
        body=MeasureBody,
        answer=MeasuredOut,
        problems=(*_REFUSALS, "signal-without-case"),
    ),
]
