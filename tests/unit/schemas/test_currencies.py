"""Currencies: a closed list, and the ways in which people write the yuan."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from schemas.common import Amount
from schemas.currencies import CURRENCIES, read_code, read_written
from schemas.dissuasion import AttemptIn
from schemas.measures import BlockedIn
from schemas.orders.requests import OrderIn
from tests.support.builders import T0, body, submitted


def test_the_list_is_one_of_codes_with_their_decimals() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CURRENCIES)
    assert 150 <= len(CURRENCIES) <= 170
    assert [CURRENCIES[code] for code in ("CNY", "HKD", "JPY", "KRW", "KWD", "XAF")] == [2, 2, 0, 0, 3, 0]
    assert not CURRENCIES.keys() & {"RMB", "CNH", "XXX", "XAU", "XTS", "DEM"}


@pytest.mark.parametrize("code", ["CNY", "RMB", "CNH"])
def test_the_yuan_is_one_currency_however_a_program_calls_it(code: str) -> None:
    assert Amount(minor=1, currency=code).currency == "CNY"
    signal = submitted(amount={"minor": 60_000_000, "currency": code})
    assert (signal.currency, signal.content_id) == ("CNY", submitted(amount={"minor": 60_000_000}).content_id)


@pytest.mark.parametrize("code", ["ABC", "XXX", "DEM", "cny", "CNy", "人民币", "156", "", "CNYY", "C Y"])
def test_a_program_that_names_no_currency_is_told_so(code: str) -> None:
    with pytest.raises(ValidationError) as found:
        body(amount={"minor": 1, "currency": code})
    (fault,) = found.value.errors()
    assert fault["loc"] == ("amount", "currency")


def test_every_body_with_money_reads_its_currency_from_the_list() -> None:
    wrong, told = {"minor": 1, "currency": "XXX"}, []
    for model, fields in (
        (OrderIn, {"amount": wrong}),
        (BlockedIn, {"amount": wrong}),
        (AttemptIn, {"currency": "XXX"}),
    ):
        with pytest.raises(ValidationError) as found:
            model.model_validate(fields)
        told += [one["loc"][-1] for one in found.value.errors() if "ISO 4217" in one["msg"]]
    assert told == ["currency"] * 3
    for event in ({"type": "transfer", "payer": {}, "payee": {}, "amount": wrong}, None):
        with pytest.raises(ValidationError, match="ISO 4217"):
            body(event=event, loss=wrong)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *((text, "CNY") for text in ("RMB", "rmb", "cny", "CNH", "ＣＮＹ", "156")),
        *((text, "CNY") for text in ("人民币", " 人民币元 ", "人民幣", "元", "¥", "￥")),
        ("usd", "USD"),
        ("美元", "USD"),
        ("840", "USD"),
        ("港币", "HKD"),
        ("jpy", "JPY"),
    ],
)
def test_what_a_person_writes_is_read_as_the_currency_that_is_meant(text: str, code: str) -> None:
    assert read_written(text) == code


@pytest.mark.parametrize("text", ["", "人民", "999", "XXX", "CN Y X", "dollar"])
def test_what_names_no_currency_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="CNY"):
        read_written(text)
    with pytest.raises(ValueError, match="CNY"):
        read_code(text)


def test_a_record_of_before_is_read_whatever_currency_it_names() -> None:
    record = submitted().model_dump() | {"currency": "RMB", "occurred_at": T0}
    assert type(submitted()).model_validate(record).currency == "RMB"
