"""What a call may say: nothing that anybody typed, of whatever kind the notice is."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
import yaml

from schemas.appeals import AppealUpdate
from schemas.notices import SAID, NotificationKind
from schemas.orders.kinds import OrderKind
from stream_processors.runtime.settings import SHIPPED_POLICY
from stream_processors.webhooks.payload import CARRIED, CODES, IDS, NUMBERS, POLICY_WORDS, TIMES, message_of
from tests.support.builders import SEALER
from tests.support.deliveries import notice, ordered, sealed_subject
from tests.support.examples import ROOT
from tests.support.hooks import notice_record

TYPED = "王某某六月欠账"
"""Somebody's own words. They stand in every place of a notice and its order that takes a text."""
TEXTS = ("basis_sealed", "text_sealed", "answer_sealed")
CASES = [(kind, order) for kind in NotificationKind for order in (OrderKind if kind == "order" else ("suspend_number",))]
CHANGES = sorted((ROOT / "cases.changed" / "v1").glob("applied_*.json"))
SHAPES = {
    CODES: re.compile(r"[A-Za-z0-9_]*(, ?[a-z0-9_]+)*"),
    IDS: re.compile(r"[A-Za-z0-9_-]+"),
    TIMES: re.compile(r"\d{4}-\d\d-\d\d(T[0-9:.]+(Z|[+-]\d\d:\d\d))?"),
    NUMBERS: re.compile(r"\d+"),
}


def call_of(kind: str, order_kind: str, **data: int | str) -> dict[str, Any]:
    """The call of a notice about an order in which everybody has typed something."""
    change = ordered(basis=TYPED)
    assert change.case is not None
    order = change.case.orders[0]
    sealed = {name: SEALER.seal(TYPED, f"ord-1/{name.removesuffix('_sealed')}") for name in TEXTS}
    told = AppealUpdate.trusted(case_id="case-1", appeal_id=TYPED, state="filed", orders=(), requested_action="none")
    about = notice(1, kind=kind, says="order_issued", order_id="ord-1", subject=sealed_subject("ord-1", TYPED), data=data)
    about = about.model_copy(update={"appeal": told})
    typed = order.model_copy(update={"kind": OrderKind(order_kind), "basis": TYPED, **sealed})
    body = message_of(notice_record(about, 1, typed)[1], "bank-001").body
    assert TYPED.encode() not in body and "\\u" not in body.decode() and "sealed" not in body.decode()
    read: dict[str, Any] = orjson.loads(body)
    return read


@pytest.mark.parametrize(("kind", "order_kind"), CASES)
def test_no_call_holds_a_text_that_somebody_typed(kind: str, order_kind: str) -> None:
    names = ("basis", "label", "note", "text", "reference", "name", "answer", "detail", "zh", "en")
    names = tuple(name for name in names if POLICY_WORDS.get(name) != kind)
    told = call_of(kind, order_kind, **dict.fromkeys(names, TYPED), attempt_count=2)
    assert told["data"]["data"] == {"attempt_count": 2}
    assert told["data"]["link"] == "/v1/inbox/act-1/case-1/0"
    assert told["type"] == (f"order.{order_kind}" if kind == "order" else kind)


@pytest.mark.parametrize("says", SAID)
def test_every_sentence_can_be_filled_with_what_a_call_carries(says: str) -> None:
    assert set(re.findall(r"{(\w+)}", SAID[says].zh + SAID[says].en)) <= CARRIED | POLICY_WORDS.keys()


def test_what_the_stages_wrote_is_codes_ids_times_and_numbers() -> None:
    policy = strings_of(yaml.safe_load(SHIPPED_POLICY.read_text("utf-8")))
    found = set()
    for value in (orjson.loads(path.read_bytes())["data"] for path in CHANGES):
        for name, text in ((name, text) for one in value["notifications"] for name, text in one["data"].items()):
            found.add(name)
            shape = next((shape for names, shape in SHAPES.items() if name in names), None)
            assert shape.fullmatch(str(text)) if shape else name in POLICY_WORDS and text in policy | {""}, (name, text)
    assert len(found) > 10


def strings_of(part: Any) -> set[str]:
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return {part} if isinstance(part, str) else set().union(*map(strings_of, inner))
