"""Receipts: a place in the log that only its operator reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.security import Keyring, LogPlace, PlaceCipher, ReceiptError

KEYRING = Keyring.generate()
CIPHER = PlaceCipher(KEYRING)
TOPICS = st.sampled_from(["signals.submitted.v1", "signals.retractions.v1"])
PLACES = st.builds(LogPlace, TOPICS, st.integers(0, 2**16 - 1), st.integers(0, 2**52), st.integers(0, 2**31))


@given(PLACES)
def test_a_receipt_opens_to_its_place_and_is_the_same_each_time(place: LogPlace):
    receipt = CIPHER.seal(place)
    assert CIPHER.open(receipt) == place and receipt == PlaceCipher(KEYRING).seal(place)
    assert receipt.isascii() and len(receipt) < 120


@given(PLACES, st.integers(0, 2**52))
def test_a_receipt_is_as_long_at_any_offset(place: LogPlace, offset: int):
    assert len(CIPHER.seal(place)) == len(CIPHER.seal(place._replace(offset=offset)))


@pytest.mark.parametrize("wrong", ["", "k1.", "k1.AAAA", "k2.AAAA", "nothing", "k1.\u00e9", "k1." + "A" * 70])
def test_what_we_did_not_make_does_not_open(wrong: str):
    with pytest.raises(ReceiptError):
        CIPHER.open(wrong)


def test_a_changed_receipt_and_one_of_other_keys_do_not_open():
    receipt = CIPHER.seal(LogPlace("signals.submitted.v1", 3, 4117))
    other = "A" if receipt[-5] != "A" else "B"
    for wrong in (receipt[:-5] + other + receipt[-4:], PlaceCipher(Keyring.generate()).seal(CIPHER.open(receipt))):
        with pytest.raises(ReceiptError):
            CIPHER.open(wrong)


def test_a_receipt_from_before_a_change_of_keys_still_opens():
    receipt = CIPHER.seal(LogPlace("signals.submitted.v1", 3, 4117))
    later = Keyring.generate()
    keys = {"k1": KEYRING.sealing_keys["k1"], "k2": later.sealing_keys["k1"]}
    rotated = Keyring(current="k2", token_keys={**KEYRING.token_keys, "k2": later.token_keys["k1"]}, sealing_keys=keys)
    assert PlaceCipher(rotated).open(receipt).offset == 4117
    assert PlaceCipher(rotated).seal(PlaceCipher(rotated).open(receipt)).startswith("k2.")
