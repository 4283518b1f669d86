"""From cells to the body of a signal."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from connectors.filedrop.convert import RowFault, converter
from connectors.filedrop.mapping import MappingFile
from schemas.signals.submission import SignalIn
from tests.unit.connectors.samples import csv_mapping

CELLS = {"流水号": "R1", "时间": "2026-03-01 08:00:00", "区县": "乐都区", "账号": "6299 0001", "金额": "12,000.50", "摘要": ""}


def body(mapping: MappingFile, **changes: object) -> dict:
    return converter(mapping, "a.csv")({**CELLS, **changes}, 7, "abcdef012345")


def fault(mapping: MappingFile, **changes: object) -> str:
    with pytest.raises(RowFault) as caught:
        body(mapping, **changes)
    return str(caught.value)


def test_a_row_becomes_a_valid_signal():
    made = body(csv_mapping())
    assert made == {
        "reference": "R1",
        "kind": "telecom_fraud",
        "occurred_at": "2026-03-01T08:00:00+08:00",
        "region": "630202",
        "amount": {"minor": 1200050, "currency": "CNY"},
        "indicators": [{"kind": "account", "value": "6299 0001", "role": "suspect"}],
    }
    SignalIn.model_validate(made)


@pytest.mark.parametrize(
    ("text", "minor"),
    [("0.1", 10), ("0.29", 29), ("1.10", 110), ("1e3", 100000), ("¥12,345.67", 1234567), ("￥1 000", 100000), ("7", 700)],
)
def test_money_is_exact(text, minor):
    assert body(csv_mapping(), 金额=text)["amount"]["minor"] == minor


def test_a_number_from_json_keeps_its_last_digit():
    parsed = json.loads('{"a": 4503599627370497.01}', parse_float=Decimal)["a"]
    assert body(csv_mapping(), 金额=parsed)["amount"]["minor"] == 450359962737049701


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("12,000.50", 1200050),
        ("1,234,567", 123456700),
        ("1,2345.6", 1234560),
        ("1 234 567.89", 123456789),
        ("1'234'567", 123456700),
        ("1\u00a0000", 100000),
        ("'6000", 600000),
        ("１２，０００．５", 1200050),
        ("1.2E+4", 1200000),
        (".5", 50),
        ("+7", 700),
    ],
)
def test_signs_between_groups_are_passed_over(text, minor):
    assert body(csv_mapping(), 金额=text)["amount"]["minor"] == minor


@pytest.mark.parametrize(
    "text",
    [
        *("12,5", "1,23", "1,2,3", "1,23,456", "12,34,567", "1234,567", "0,500", ",500", "500,", "1,234'567", "1,000,0"),
        *("1'5", "1,234,5678", "1_0", "1_000", "1.2.3", "1.234,56", "5万", "12000元", "12-5", "①", "١٢", "12 5", "1,234 567"),
        "6000 6000",
    ],
)
def test_a_sign_that_separates_no_groups_is_a_fault(text):
    assert "金额" in fault(csv_mapping(), 金额=text)


def test_the_fault_of_a_comma_says_what_would_be_right():
    assert "groups of three digits, as in 12,000.50" in fault(csv_mapping(), 金额="12,5")
    european = csv_mapping(amount={"column": "金额", "currency": "EUR", "decimal": ","})
    assert "groups of three digits, as in 12.000,50" in fault(european, 金额="12.5")


@pytest.mark.parametrize(("text", "minor"), [("1.234.567,5", 123456750), ("12,5", 1250), ("1 234,56", 123456), ("7", 700)])
def test_with_a_decimal_comma_dots_separate_groups(text, minor):
    european = csv_mapping(amount={"column": "金额", "currency": "EUR", "decimal": ","})
    assert body(european, 金额=text)["amount"]["minor"] == minor


@pytest.mark.parametrize("text", ["12.5", "1.23", "1.2.3", "1234.56", "0.500", "1,234,567", "1_0", "1,234.56"])
def test_with_a_decimal_comma_a_dot_that_separates_no_groups_is_a_fault(text):
    european = csv_mapping(amount={"column": "金额", "currency": "EUR", "decimal": ","})
    assert "金额" in fault(european, 金额=text)


def test_a_number_of_json_is_a_number_whatever_the_decimal_sign_of_texts():
    european = csv_mapping(amount={"column": "金额", "currency": "EUR", "decimal": ","})
    assert body(european, 金额=Decimal("1.25"))["amount"]["minor"] == 125
    assert "more decimals" in fault(european, 金额=Decimal("1.234"))


@pytest.mark.parametrize("text", ["人民币元角分", "15", "yuan"])
def test_a_currency_that_is_no_code_is_a_fault_of_its_column(text):
    mapping = csv_mapping(amount={"column": "金额", "currency_column": "币种"})
    assert "币种" in fault(mapping, 金额="1", 币种=text)


@pytest.mark.parametrize("text", ["0.001", "-1", "NaN", "Infinity", "一万", "1.2.3", "1e400"])
def test_money_is_never_guessed(text):
    assert "金额" in fault(csv_mapping(), 金额=text)


def test_an_empty_amount_is_none():
    assert "amount" not in body(csv_mapping(), 金额=" ")


@pytest.mark.parametrize(("currency", "text", "minor"), [("JPY", "1200", 1200), ("KWD", "1.234", 1234), ("USD", "1.23", 123)])
def test_each_currency_has_its_own_minor_units(currency, text, minor):
    mapping = csv_mapping(amount={"column": "金额", "currency_column": "币种"})
    assert body(mapping, 金额=text, 币种=currency)["amount"] == {"minor": minor, "currency": currency}


def test_yen_have_no_decimals():
    assert "more decimals than JPY" in fault(csv_mapping(amount={"column": "金额", "currency": "JPY"}), 金额="1.5")


def test_a_decimal_comma_and_minor_units_can_be_told():
    european = csv_mapping(amount={"column": "金额", "currency": "EUR", "decimal": ","})
    assert body(european, 金额="1.234,56")["amount"] == {"minor": 123456, "currency": "EUR"}
    assert body(csv_mapping(amount={"column": "金额", "unit": "minor"}), 金额="123")["amount"]["minor"] == 123


@pytest.mark.parametrize(
    ("given", "text", "instant"),
    [
        ({"format": "iso"}, "2026-03-01T08:00:00", "2026-03-01T08:00:00+08:00"),
        ({"format": "iso"}, "2026-03-01T08:00:00Z", "2026-03-01T08:00:00+00:00"),
        ({"format": "iso", "timezone": "Europe/Berlin"}, "2026-03-01T08:00:00", "2026-03-01T08:00:00+01:00"),
        ({"format": "%d/%m/%Y %H:%M"}, "01/03/2026 08:00", "2026-03-01T08:00:00+08:00"),
        ({"format": "epoch_s"}, "1772323200", "2026-03-01T00:00:00+00:00"),
        ({"format": "epoch_ms"}, "1772323200123", "2026-03-01T00:00:00.123000+00:00"),
        ({"timezone": "Europe/Berlin", "fold": 1}, "2026-10-25T02:30:00", "2026-10-25T02:30:00+01:00"),
        ({"timezone": "Europe/Berlin"}, "2026-10-25T02:30:00", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_times_become_aware(given, text, instant):
    assert body(csv_mapping(occurred_at={"column": "时间", **given}), 时间=text)["occurred_at"] == instant


COMPACT = "%Y%m%d%H%M%S"


@pytest.mark.parametrize(
    ("form", "text", "instant"),
    [
        (COMPACT, "20261130123456", "2026-11-30T12:34:56+08:00"),
        ("%Y%m%d%H%M%S%f", "20261130123456789", "2026-11-30T12:34:56.789000+08:00"),
        ("%Y%m%d %H:%M", "20261130 1:05", "2026-11-30T01:05:00+08:00"),
        ("%Y-%m-%d %H:%M:%S", "2026-3-1 8:00:00", "2026-03-01T08:00:00+08:00"),
        ("%Y%m%dT%H%M%S%z", "20261130T123456+0100", "2026-11-30T12:34:56+01:00"),
        ("%d.%m.%y %I%M %p", "01.03.26 0105 PM", "2026-03-01T13:05:00+08:00"),
        ("iso", "20261130T123456Z", "2026-11-30T12:34:56+00:00"),
        ("iso", "2026-11-30 12:34", "2026-11-30T12:34:00+08:00"),
    ],
)
def test_a_compact_time_with_all_its_digits_is_read(form, text, instant):
    assert body(csv_mapping(occurred_at={"column": "时间", "format": form}), 时间=text)["occurred_at"] == instant


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (COMPACT, "202611301234"),
        (COMPACT, "2026113012345"),
        (COMPACT, "20261130"),
        ("%Y%m%d%H%M%S%f", "2026113012345"),
        ("%Y%m%d %H:%M", "2026111 12:34"),
        ("%Y%m%d %H%M", "20261130 123"),
        ("%y%m%d", "26111"),
        ("%d.%m.%y %I%M %p", "01.03.26 105 PM"),
        ("iso", "2026-11-30"),
        ("iso", "20261130"),
        ("iso", "2026-W48-1"),
        ("iso", "2026-W48-1T12:34"),
        ("iso", "2026-11-30T12"),
        ("iso", "2026-11-30112:34"),
        ("iso", "20261130T123"),
        ("epoch_s", "1_772_323_200"),
        ("epoch_ms", "1.77232E+12"),
    ],
)
def test_a_time_without_all_its_digits_is_a_fault(form, text):
    assert "时间" in fault(csv_mapping(occurred_at={"column": "时间", "format": form}), 时间=text)


def test_a_local_time_that_was_jumped_over_is_a_fault():
    mapping = csv_mapping(occurred_at={"column": "时间", "timezone": "Europe/Berlin"})
    assert "does not exist in Europe/Berlin" in fault(mapping, 时间="2026-03-29T02:30:00")


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01 08:00:00", "", "99999999999999999999"])
def test_a_time_is_never_guessed(text):
    assert "时间" in fault(csv_mapping(), 时间=text)


@pytest.mark.parametrize("text", ["1e999999", "9e900000", "NaN", "Infinity"])
@pytest.mark.parametrize("form", ["epoch_s", "epoch_ms"])
def test_a_count_that_is_no_time_is_a_fault_at_once(form: str, text: str):
    assert "时间" in fault(csv_mapping(occurred_at={"column": "时间", "format": form}), 时间=text)


def test_a_value_that_the_table_does_not_have_is_a_fault_or_the_rest():
    assert "别处" in fault(csv_mapping(), 区县="别处")
    mapping = csv_mapping(region={"column": "区县", "translate": {"乐都区": "630202"}, "otherwise": "630200"})
    assert body(mapping, 区县="别处")["region"] == "630200"
    assert body(mapping, 区县="")["region"] == "630200"


def test_several_indicators_come_from_several_columns_and_from_one_cell():
    mapping = csv_mapping(
        indicators=[
            {"kind": "account", "column": "账号"},
            {"kind": "phone", "column": "电话", "split": ";", "optional": True},
            {"kind": "phone", "column": "受害人", "role": "victim", "optional": True},
        ]
    )
    found = body(mapping, 电话="13800000001; 13800000002;", 受害人="")["indicators"]
    assert [(one["kind"], one["value"], one["role"]) for one in found] == [
        ("account", "6299 0001", "suspect"),
        ("phone", "13800000001", "suspect"),
        ("phone", "13800000002", "suspect"),
    ]


def test_a_composed_reference_names_file_row_and_content():
    mapping = csv_mapping(reference={"compose": "row", "prefix": "day1-"})
    assert body(mapping)["reference"] == "day1-a.csv#7-abcdef012345"


def test_a_dot_goes_into_objects_unless_a_column_has_that_very_name():
    mapping = csv_mapping(region={"column": "place.code"})
    assert body(mapping, place={"code": "630203"})["region"] == "630203"
    assert body(mapping, **{"place.code": "630222"})["region"] == "630222"
    assert "no such column or member" in fault(mapping)
    assert "a text or a number" in fault(mapping, place={"code": ["630203"]})


TRANSFER = {
    "type": "transfer",
    "payer": {"kind": "account", "column": "账号"},
    "payee": {"kind": "card", "column": "收款", "role": "suspect"},
    "amount": {"column": "金额"},
    "channel": {"column": "渠道", "optional": True},
    "at": {"column": "到账", "format": "%Y-%m-%d %H:%M:%S", "optional": True},
    "only_with": "收款",
}
WHOLE = {
    "typology": {"column": "类型", "translate": {"冒充公检法": "impersonating_police"}, "optional": True},
    "stage": {"constant": "paid"},
    "loss": {"column": "损失"},
    "detected_at": {"column": "发现", "optional": True},
    "version": {"column": "版本"},
    "event": TRANSFER,
}
MORE = {"收款": "6222021000000000005", "渠道": "mobile_bank", "到账": "", "类型": "冒充公检法"}
MORE |= {"损失": "1", "发现": "", "版本": "2"}


def test_all_that_a_signal_may_have_has_its_column():
    made = body(csv_mapping(**WHOLE), **MORE)
    assert made["event"] == {
        "type": "transfer",
        "payer": {"kind": "account", "value": "6299 0001"},
        "payee": {"kind": "card", "value": "6222021000000000005", "role": "suspect"},
        "amount": {"minor": 1200050, "currency": "CNY"},
        "channel": "mobile_bank",
    }
    assert (made["typology"], made["stage"], made["version"]) == ("impersonating_police", "paid", 2)
    assert made["loss"] == {"minor": 100, "currency": "CNY"} and "detected_at" not in made
    SignalIn.model_validate(made)


def test_a_row_without_the_events_column_has_no_event_and_is_a_signal_still():
    made = body(csv_mapping(**WHOLE), **{**MORE, "收款": " "})
    assert "event" not in made
    SignalIn.model_validate(made)


def test_one_empty_cell_of_several_is_enough_to_have_no_event():
    whole = {**WHOLE, "event": {**TRANSFER, "only_with": ["收款", "渠道"]}}
    assert "event" in body(csv_mapping(**whole), **MORE)
    assert "event" not in body(csv_mapping(**whole), **{**MORE, "渠道": ""})


def _end(column: str) -> dict:
    return {"kind": "phone", "column": column}


ENDS = {"a": "13800000001", "b": "13800000002"}
LINKS = "http://a.example; http://b.example"
EVENTS = {
    "call": ({"caller": _end("a"), "callee": _end("b"), "duration_s": {"column": "n"}}, {**ENDS, "n": "61"}),
    "message": (
        {"sender": _end("a"), "recipient": _end("b"), "urls": {"column": "u", "split": ";"}, "count": {"column": "n"}},
        {**ENDS, "n": "", "u": LINKS},
    ),
    "site": ({"domain": {"column": "a"}, "registered_at": {"column": "b"}}, {"a": "bad.example", "b": "2026-02-01T00:00:00Z"}),
    "app": ({"package": {"column": "a"}}, {"a": "com.example.loan"}),
}


@pytest.mark.parametrize("kind", EVENTS)
def test_every_kind_of_event_can_be_mapped(kind: str):
    event, cells = EVENTS[kind]
    mapping = csv_mapping(event={"type": kind, **event})
    assert set(cells) <= set(mapping.needed()), "a column that is missing is told before the first row"
    made = SignalIn.model_validate(body(mapping, **cells))
    assert made.event is not None and made.event.type == kind


@pytest.mark.parametrize(("column", "text"), [("版本", "two"), ("损失", "-1"), ("到账", "soon"), ("金额", ""), ("类型", "诈骗")])
def test_a_fault_in_any_of_them_names_its_column(column: str, text: str):
    assert column in fault(csv_mapping(**WHOLE), **{**MORE, column: text})
