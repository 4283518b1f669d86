"""The policy's section on orders, and what people post about orders and measures: what is refused, and how that is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from schemas.measures import BlockedIn, MeasureIn
from schemas.orders.kinds import OrderKind
from schemas.orders.policy import OrderRules
from schemas.orders.requests import AnswerIn, OrderIn
from stream_processors.runtime.settings import SHIPPED_POLICY
from tests.support.builders import T0, after
from tests.support.order_builders import RULES

PAGE = Path(__file__).parents[3] / "docs" / "guide" / "orders.md"
SHIPPED = yaml.safe_load(SHIPPED_POLICY.read_text("utf-8"))["orders"]

MEASURES: TypeAdapter[Any] = TypeAdapter(MeasureIn)


def changed(kind: str, **over: Any) -> dict[str, Any]:
    return {"kinds": {**SHIPPED["kinds"], kind: {**SHIPPED["kinds"][kind], **over}}}


def test_the_shipped_section_offers_every_kind_and_marks_each_to_be_confirmed() -> None:
    assert set(RULES.kinds) == set(OrderKind)
    assert all(rules.needs_confirmation for rules in RULES.kinds.values())
    own = ("emergency_stop", "quick_freeze", "return_notice", "return_of_funds", "verify_stop")
    assert RULES.deadline_names() == ("answer_letter", *own[:1], "order_answer", "order_validity", *own[1:])


def test_the_page_quotes_the_section_that_is_shipped() -> None:
    quoted = re.search(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert quoted and yaml.safe_load(quoted[1]) == SHIPPED


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (changed("stop_payment", length=None, renewals=0), "requires a length"),
        (changed("stop_payment", verify=[]), "a stop requires the fields"),
        (changed("stop_payment", verify=["name", "name"]), "twice"),
        (changed("stop_payment", renewals=2), "exceed max_per_subject"),
        (changed("release", renewals=1), "without a length"),
        (changed("release", length={"hours": 1}), "no lasting effect"),
        (changed("release", verify=["name"]), "verify is allowed only"),
        (changed("block_app", preserve_records=None), "Art. 20"),
        (changed("freeze", preserve_records={"months": 6}), "takedowns only"),
        (changed("supervision_letter", answer_within=None), "requires answer_within"),
        (changed("freeze", answer_deadline="quick_freeze"), "verify_deadline and public_notice_deadline must differ"),
        (changed("stop_payment", verify_deadline="emergency_stop"), "verify_deadline and public_notice_deadline must differ"),
        (changed("stop_payment", verify_deadline="Verify"), "verify_deadline"),
        (changed("freeze", verify_deadline="verify_stop"), "verify_deadline requires the fields"),
        (changed("freeze", public_notice_deadline="return_notice"), "for a return of funds only"),
        ({"kinds": {"freeze": SHIPPED["kinds"]["freeze"]}}, "requires release"),
        ({"kinds": {"arrest": {"basis": "none"}}}, "stop_payment"),
    ],
)
def test_a_section_that_contradicts_itself_or_the_duties_is_refused(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OrderRules.model_validate(section)


STOP: dict[str, Any] = {
    "kind": "stop_payment",
    "recipient": "bank-001",
    "subject": {"kind": "account", "value": "6222021000000001"},
    "verify": {"name": "张三", "account": "6222021000000001", "amount": {"minor": 1000}, "occurred_at": T0},
    "amount": {"minor": 800},
    "basis": "条例第二十二条",
}


def test_an_order_as_an_officer_posts_it() -> None:
    assert OrderIn.model_validate(STOP).verify is not None
    OrderIn.model_validate({"kind": "release", "recipient": "bank-001", "related_order_id": "ord-1", "basis": "核实无关"})
    back = {
        "kind": "return_funds",
        "recipient": "bank-001",
        "related_order_id": "ord-1",
        "amount": {"minor": 1},
        "basis": "按比例返还",
    }
    assert OrderIn.model_validate(back).method is None
    assert OrderIn.model_validate({**back, "method": "pro_rata", "public_notice_at": T0}).public_notice_at == T0


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"subject": None}, "requires a subject"),
        ({"amount": None}, "requires 'amount'"),
        ({"amount": {"minor": 800, "currency": "USD"}}, "same currency"),
        ({"kind": "release"}, "in 'related_order_id'"),
        ({"kind": "request_information"}, "in 'text'"),
        ({"basis": ""}, "basis"),
        ({"hurry": True}, "hurry"),
        ({"method": "pro_rata"}, "for return_funds only"),
        ({"kind": "return_funds", "related_order_id": "ord-1", "method": "nothing"}, "method"),
        (
            {"kind": "return_funds", "related_order_id": "ord-1", "method": "by_time", "public_notice_at": T0},
            "with a public notice",
        ),
    ],
)
def test_an_order_that_lacks_something_says_what(over: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OrderIn.model_validate({**STOP, **over})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"result": "verified"}, "fields that you compared"),
        ({"result": "mismatch"}, "fields that differ"),
        ({"result": "refused"}, "requires 'reason'"),
        ({"result": "failed"}, "requires 'reason'"),
        ({"result": "received", "done_at": T0}, "'done_at' is allowed only"),
        ({"result": "lifted", "amount_minor": 5}, "'executed'"),
        ({"result": "perhaps"}, "result"),
    ],
)
def test_an_answer_that_lacks_something_says_what(answer: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AnswerIn.model_validate(answer)


def test_answers_that_say_enough() -> None:
    AnswerIn.model_validate({"result": "mismatch", "mismatched_fields": ["name"]})
    AnswerIn.model_validate({"result": "executed", "amount_minor": 800, "done_at": T0})


BLOCKED = {
    "kind": "blocked",
    "reference": "b-1",
    "done_at": T0,
    "target": "payment",
    "amount": {"minor": 5},
    "until": after(hours=1),
}


def test_measures_as_an_institution_posts_them() -> None:
    assert isinstance(MEASURES.validate_python(BLOCKED), BlockedIn)
    MEASURES.validate_python({"kind": "warned", "reference": "w-1", "done_at": T0, "channel": "call", "reaction": "heeded"})
    MEASURES.validate_python({"kind": "reported", "reference": "r-1", "done_at": T0, "reported_to": "public-security-630202"})


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"target": "number"}, "holds no money"),
        ({"amount": None}, "requires the amount held"),
        ({"until": T0}, "'until' must be after"),
        ({"kind": "praised"}, "warned"),
        ({"channel": "call"}, "channel"),
        ({"reference": "two words"}, "reference"),
    ],
)
def test_a_measure_that_says_something_wrong_is_told_what(over: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MEASURES.validate_python({**BLOCKED, **over})
