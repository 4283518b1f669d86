"""Routes over orders: an officer issues, approves, withdraws, renews; the institution that received the order reads and answers
it, and so does an officer of the unit that received a letter.

Invariant: an order that the caller may not see does not exist. Only its recipient answers: an institution in its own name, an
officer as a unit of his token.
"""

from __future__ import annotations

from starlette.responses import Response

from gateway.commands.case_requests import CasePart, act, action_of, is_officer, place_of, protector, reply, seen_case, wanted_of
from gateway.commands.endpoints import command_endpoint
from gateway.http.call import Call
from gateway.http.endpoint import Endpoint, Handler
from gateway.http.problem_sets import VIEWS
from gateway.http.problems import Problem
from gateway.http.request_body import read_json
from gateway.http.responses import dumped
from gateway.http.roles import BOTH, OFFICERS
from gateway.rendering.case_parts import OrderOut, own_orders, teller
from gateway.security.audit import accessed
from schemas.appeals import MoveIn
from schemas.cases.case import ActionKind, Case
from schemas.ids import ORDER, name_of
from schemas.orders.order import Order, OrderEvent, OrderEventKind
from schemas.orders.requests import AnswerIn, OrderIn


async def post_order(call: Call) -> Response:
    """Issues an order about a case of yours. From the policy's amount on it awaits dual approval. `verify` lists the fields that
    the institution compares with its books before it stops anything. Readable values are sealed before they leave the gateway."""
    body = await read_json(call, OrderIn)
    case = await seen_case(call)
    action_id = action_of(call)
    name = name_of(ORDER, case.case_id, action_id)

    def members() -> dict[str, object]:
        draft = protector(call).draft(body, name, case.case_id, case.queue)
        event = OrderEvent(event_id=action_id, order_id=name, kind=OrderEventKind.ISSUE, draft=draft)
        return {"order": event, "revision": body.revision}

    outcome = await act(call, case, wanted_of(ActionKind.ORDER, "order", body, members), action_id)
    return reply(outcome, lambda after: _render_order(call, after, name))


async def get_order(call: Call) -> Response:
    """Returns an order to you, or of a case of yours, with the values to compare. The audit log records the access."""
    name, case = await _locate_order(call)
    accessed(call.caller, "order", order=name, case=case.case_id)
    return dumped(_render_order(call, case, name))


async def post_answer(call: Call) -> Response:
    """Answers an order to you: received, verified (the compared fields), mismatch (nothing was stopped), executed (amount and
    time), refused or failed (reason), lifted (nothing is held any more). `allowed_transitions` lists the allowed results. An
    officer answers a letter that a unit of his token received."""
    body = await read_json(call, AnswerIn)
    name, case = await _locate_order(call)
    order = _find_order(call, case, name)
    who = teller(call).answers_as(order) if order is not None else None
    if who is None:
        raise Problem("not-recipient", "only the institution or unit that received the order may answer it")
    action_id, unit = action_of(call), who if is_officer(call) else None
    requested = wanted_of(
        ActionKind.ORDER, f"{name} answer", body, lambda: {"order": protector(call).answer(body, name, action_id, unit)}
    )
    outcome = await act(call, case, requested, action_id)
    return reply(outcome, lambda after: _render_order(call, after, name))


def _handler_of(kind: OrderEventKind) -> Handler:
    async def move(call: Call) -> Response:
        body = await read_json(call, MoveIn)
        name, case = await _locate_order(call)
        if not call.caller.may_work_on(case.queue):
            raise Problem("unknown-order", "the case has no such order, or you may not see it")
        action_id = action_of(call)
        event = OrderEvent(event_id=action_id, order_id=name, kind=kind)
        members = {"order": event, "revision": body.revision}
        outcome = await act(call, case, wanted_of(ActionKind.ORDER, f"{name} {kind}", body, lambda: members), action_id)
        return reply(outcome, lambda after: _render_order(call, after, name))

    return move


async def _locate_order(call: Call) -> CasePart:
    return await place_of(call, ORDER, "order_id", lambda case, name: _find_order(call, case, name) is not None)


def _find_order(call: Call, case: Case, name: str) -> Order | None:
    """Returns the order to those who may see it: the agency that issued it, the unit that has the case now, and the recipient
    once it was notified (an institution, or the unit of a letter)."""
    if not is_officer(call):
        return next((order for order in own_orders(case, call.caller.subject) if order.order_id == name), None)
    caller_view = teller(call)
    visible = (order for order in case.orders if caller_view.is_theirs(order, case) or caller_view.answers_as(order) is not None)
    return next((order for order in visible if order.order_id == name), None)


def _render_order(call: Call, case: Case, name: str) -> OrderOut:
    order = _find_order(call, case, name)
    if order is None:
        raise Problem("unknown-order", "the order is finished, and the case no longer keeps it")
    return teller(call).order(order, case)


_ISSUE = (
    *(
        "unknown-order",
        "order-kind-not-enabled",
        "order-incomplete",
        "amount-exceeds-traced",
        "already-held",
        "already-released",
        "amount-exceeds-held",
    ),
    *("account-limit-reached", "too-many-orders"),
)
_AGREE = (
    "second-approver-required",
    "order-kind-not-enabled",
    "order-expired",
    "account-limit-reached",
    "amount-exceeds-traced",
    "already-held",
    "already-released",
    "amount-exceeds-held",
)
_ANSWER = (
    *("unknown-order", "not-recipient", "not-verified", "fields-mismatch", "reason-missing", "answer-missing", "amount-missing"),
    *(
        "records-not-kept",
        "amount-exceeds-traced",
        "amount-exceeds-held",
        "public-notice-running",
        "order-expired",
        "time-out-of-range",
    ),
)
_MOVES: tuple[tuple[str, OrderEventKind, str, str], ...] = (
    ("approve", OrderEventKind.APPROVE, "Approve an order", "Approves the order as the second person. The order is issued."),
    ("reject", OrderEventKind.REJECT, "Reject an order", "Rejects the order as the second person. Nobody else is notified."),
    ("withdraw", OrderEventKind.WITHDRAW, "Withdraw an order", "Withdraws an order that awaits approval."),
    ("renew", OrderEventKind.RENEW, "Renew an order", "Extends the order by one length from its current end."),
)
ENDPOINTS = [
    command_endpoint(
        "/v1/cases/{case_id}/orders", post_order, OFFICERS, "Issue an order", body=OrderIn, answer=OrderOut, problems=_ISSUE
    ),
    Endpoint("GET", "/v1/orders/{order_id}", get_order, BOTH, "One order", answer=OrderOut, problems=("unknown-order", *VIEWS)),
    command_endpoint(
        "/v1/orders/{order_id}/answers", post_answer, BOTH, "Answer an order", body=AnswerIn, answer=OrderOut, problems=_ANSWER
    ),
    *(
        command_endpoint(
            f"/v1/orders/{{order_id}}/{word}",
            _handler_of(kind),
            OFFICERS,
            summary,
            name=f"post_order_{kind.value}",
            description=description,
            body=MoveIn,
            answer=OrderOut,
            problems=("unknown-order", *_AGREE),
        )
        for word, kind, summary, description in _MOVES
    ),
]
