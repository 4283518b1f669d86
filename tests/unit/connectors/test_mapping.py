"""The mapping file: what it refuses, and how it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.filedrop.mapping import MappingError, load_mapping, parse_mapping
from deploy.demo.file_formats import FORMS, MAPPINGS
from tests.unit.connectors.samples import CSV_MAPPING


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoding": "utf-16"}, "cannot be read line by line"),
        ({"encoding": "klingon"}, "unknown encoding"),
        ({"timezone": "Asia/Atlantis"}, "unknown time zone"),
        ({"occurred_at": {"column": "时间", "timezone": "Mars/Olympus"}}, "unknown time zone"),
        ({"kind": {"constant": "theft"}}, "theft: not one of the kinds"),
        ({"kind": {"column": "a", "translate": {"x": "nope"}}}, "nope: not one of the kinds"),
        ({"kind": {}}, "either a column or a constant"),
        ({"kind": {"column": "a", "constant": "telecom_fraud"}}, "either a column or a constant"),
        ({"region": {"constant": "999999"}}, "not a GB/T 2260 code"),
        ({"region": {"column": "a", "translate": {"x": "12"}}}, "not a GB/T 2260 code"),
        ({"reference": {}}, "column or `compose: row`"),
        ({"reference": {"column": "a", "compose": "row"}}, "column or `compose: row`"),
        ({"indicators": []}, "at least one must have the role suspect"),
        ({"indicators": [{"kind": "phone", "column": "a", "role": "victim"}]}, "at least one must have the role suspect"),
        ({"delimiter": '"'}, "must differ"),
        ({"amount": {"column": "a", "currency": "yuan"}}, "amount.currency"),
        ({"colour": "red"}, "colour"),
        ({"quote": " "}, "the quote must not be a blank"),
        ({"columns": ["a", "b", " a"]}, "columns: a occurs twice"),
        ({"occurred_at": {"column": "时间", "format": "%Y-%m-%d %I:%M"}}, "add %p, or use %H"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(changes, said):
    with pytest.raises(MappingError, match="not valid") as caught:
        parse_mapping({**CSV_MAPPING, **changes})
    assert said in str(caught.value)


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path):
    file = tmp_path / "m.yaml"
    file.write_text("a: [", "utf-8")
    with pytest.raises(MappingError, match=r"m\.yaml"):
        load_mapping(file)


@pytest.mark.parametrize(
    "text", ["amount: {column: a}\namount: {column: b}", "region: {translate: {乐都区: '630202', 乐都区: '630203'}}"]
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "m.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(MappingError, match=r"(amount|乐都区) occurs twice"):
        load_mapping(file)


def test_the_shipped_mappings_are_valid():
    files = sorted(MAPPINGS.glob("*.yaml"))
    assert {file.stem for file in files} == {form.name for form in FORMS.values()} | {"amlsim"}
    for file in files:
        load_mapping(file)
