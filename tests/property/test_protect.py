"""Protection: tokens are functions of key and value, sealed values open in their own context only."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.security import AesGcmSealer, Keyring, Tokenizer, UnsealError
from schemas.security.signal_protection import signal_id
from schemas.security.tokens import Tokenizer as Again
from tests.support.builders import KEYRING, SEALER, TOKENIZER, account, phone, submitted

TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
REFERENCE = st.from_regex(r"[\x21-\x7e]{1,40}", fullmatch=True)


@given(TEXT, TEXT)
def test_a_sealed_value_opens_in_its_context(text: str, context: str) -> None:
    sealed = SEALER.seal(text, context)
    assert SEALER.unseal(sealed, context) == text
    assert sealed.startswith("k1.")
    assert sealed != SEALER.seal(text, context)


@given(TEXT, TEXT, TEXT)
def test_a_sealed_value_opens_nowhere_else(text: str, context: str, other: str) -> None:
    assume(context != other)
    sealed = SEALER.seal(text, context)
    with pytest.raises(UnsealError):
        SEALER.unseal(sealed, other)
    with pytest.raises(UnsealError):
        AesGcmSealer(Keyring.generate()).unseal(sealed, context)


@given(TEXT, st.data())
def test_a_changed_sealed_value_does_not_open(text: str, data: st.DataObject) -> None:
    sealed = SEALER.seal(text, "c")
    at = data.draw(st.integers(3, len(sealed) - 5))
    other = data.draw(st.sampled_from("Aaz09-_").filter(lambda one: one != sealed[at]))
    with pytest.raises(UnsealError):
        SEALER.unseal(sealed[:at] + other + sealed[at + 1 :], "c")


@given(TEXT)
def test_no_text_at_all_opens(text: str) -> None:
    with pytest.raises(UnsealError):
        SEALER.unseal(text, "c")
    with pytest.raises(UnsealError):
        SEALER.unseal(f"k1.{text}", "c")


@given(TEXT, TEXT)
def test_a_token_is_the_same_in_every_process_that_has_the_key(kind: str, value: str) -> None:
    token = TOKENIZER.token(kind, value)
    assert token == Again(KEYRING).token(kind, value)
    assert len(token) == len("k1.") + 22
    assert token != Tokenizer(Keyring.generate()).token(kind, value)


@given(REFERENCE, REFERENCE)
def test_a_receipt_follows_from_institution_and_reference_alone(one: str, other: str) -> None:
    assume(one != other)
    assert submitted("bank-001", one).signal_id == submitted("bank-001", one, narrative="x").signal_id
    assert submitted("bank-001", one).signal_id == signal_id(TOKENIZER, "bank-001", one)
    assert submitted("bank-001", one).signal_id != submitted("bank-001", other).signal_id
    assert submitted("bank-001", one).signal_id != submitted("bank-002", one).signal_id


@given(st.permutations([account(1), phone(2), phone(3, "victim"), account(4)]))
def test_the_order_of_indicators_is_no_part_of_the_content(indicators: list[dict[str, str]]) -> None:
    one, other = (
        submitted(indicators=indicators),
        submitted(indicators=[account(1), phone(2), phone(3, "victim"), account(4)]),
    )
    assert one.content_id == other.content_id
    assert [subject.token for subject in one.subjects] == [subject.token for subject in other.subjects]
    assert [subject.role for subject in one.subjects] == ["suspect"] * 3 + ["victim"]


@given(st.sampled_from(["kind", "occurred_at", "region", "amount", "indicators"]))
def test_whatever_counts_is_part_of_the_content(field: str) -> None:
    other = {
        "kind": "illegal_finance",
        "occurred_at": "2026-03-02T09:00:01+08:00",
        "region": "630203",
        "amount": None,
        "indicators": [phone(9)],
    }[field]
    assert submitted(**{field: other}).content_id != submitted().content_id


def test_the_narrative_is_part_of_the_body_and_not_of_the_content() -> None:
    one, other = submitted(), submitted(narrative="另一种说法")
    assert one.content_id == other.content_id
    assert one.body_id != other.body_id


def test_the_same_content_of_another_institution_is_another_content() -> None:
    assert submitted("bank-001").content_id != submitted("bank-002").content_id


def test_nothing_readable_of_a_subject_is_outside_of_a_seal() -> None:
    signal = submitted(indicators=[phone(1234), account(5678)], narrative="秘密")
    raw = signal.model_dump_json()
    assert "13800001234" not in raw
    assert "6222021000005678" not in raw
    assert "秘密" not in raw
    opened = [SEALER.unseal(one.sealed, f"{signal.signal_id}/{one.token}") for one in signal.subjects]
    assert opened == ["6222021000005678", "+8613800001234"]
