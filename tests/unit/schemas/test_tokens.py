"""Which key names what: tokens by the current one, signals by the oldest."""

from __future__ import annotations

import base64

import pytest
from pydantic import ValidationError

from gateway.tips.number import number_of, signal_of
from schemas.policy import Keep
from schemas.security.keyring import Keyring
from schemas.security.sealing import AesGcmSealer
from schemas.security.signal_protection import protect, signal_id
from schemas.security.tokens import Tokenizer
from schemas.signals.submission import SignalIn

KEYS = {f"k{n}": base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 10)}


def _tokenizer(current: str, *versions: str) -> Tokenizer:
    keys = {version: KEYS[version] for version in versions}
    return Tokenizer(Keyring(current=current, token_keys=keys, sealing_keys=keys))


def test_a_signal_keeps_its_name_when_another_key_becomes_the_current_one() -> None:
    """Else a retry across the change would be another signal, and its retraction would find nothing."""
    before = _tokenizer("k1", "k1")
    for current in ("k2", "k10"):
        after = _tokenizer(current, "k10", "k1", "k2")
        assert signal_id(after, "bank-001", "r-1") == signal_id(before, "bank-001", "r-1")
        assert after.token("phone", "1") != before.token("phone", "1") and after.token("phone", "1").startswith(f"{current}.")
    assert signal_id(_tokenizer("k10", "k2", "k10"), "b", "r") == signal_id(_tokenizer("k2", "k2"), "b", "r")


def test_a_tip_keeps_its_number_and_its_signal() -> None:
    before, after = _tokenizer("k1", "k1"), _tokenizer("k2", "k1", "k2")
    number = number_of(before, "key")
    assert number_of(after, "key") == number and signal_of(after, number) == signal_of(before, number)


def test_a_reference_is_known_as_long_as_its_traces() -> None:
    assert Keep().claims_days >= Keep().cases_days
    with pytest.raises(ValidationError, match="180 days"):
        Keep(claims_days=30)
    with pytest.raises(ValidationError, match="90 days"):
        Keep(claims_days=60, cases_days=60)
    assert Keep(claims_days=60, cases_days=60, victims_days=60).claims_days == 60


def test_no_token_of_a_signal_is_made_twice() -> None:
    """They are the dearest part of reading one."""
    made: list[tuple[str, ...]] = []

    class Recorder(Tokenizer):
        def token(self, *parts: str) -> str:
            made.append(parts)
            return super().token(*parts)

    keyring = Keyring(current="k1", token_keys={"k1": KEYS["k1"]}, sealing_keys={"k1": KEYS["k1"]})
    indicators = [("account", "6222021001010000"), ("card", "4111111111111111"), ("phone", "+8613800001234")]
    body = {"kind": "telecom_fraud", "occurred_at": "2026-11-24T10:00:00+08:00", "region": "630202"}
    signal = SignalIn.model_validate(body | {"indicators": [{"kind": kind, "value": value} for kind, value in indicators]})
    recorder = Recorder(keyring)
    subjects = protect(signal, institution="bank-001", reference="r-1", tokenizer=recorder, sealer=AesGcmSealer(keyring)).subjects
    assert len(made) == len(set(made))
    assert {subject.token for subject in subjects} == {recorder.subject(kind, value) for kind, value in indicators}
