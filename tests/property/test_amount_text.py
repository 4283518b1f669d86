"""Amounts as people write them: what is grouped rightly is read exactly, and no sign between digits is ever dropped."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from schemas.signals.amount_text import read_amount

AMOUNTS = st.decimals(min_value=0, max_value=10**14, places=2)


@given(AMOUNTS, st.sampled_from([",", " ", "'", "\u00a0"]))
def test_an_amount_in_groups_of_three_is_read_exactly(amount: Decimal, sign: str):
    assert read_amount(f"{amount:,}".replace(",", sign)) == amount


@given(AMOUNTS)
def test_with_a_decimal_comma_the_signs_change_places(amount: Decimal):
    text = f"{amount:,}".translate(str.maketrans(",.", ".,"))
    assert read_amount(text, ",") == amount


@given(st.text("0123456789,.'_ e+-", max_size=14))
def test_a_text_that_is_read_is_the_number_written_again(text: str):
    amount = read_amount(text)
    if amount is None or "e" in text:
        return
    whole, _, fraction = text.strip().removeprefix("'").strip().lstrip("+-").partition(".")
    digits = whole.replace(",", "")
    first = len(digits) % 4 or 4
    in_fours = ",".join([digits[:first], *(digits[n : n + 4] for n in range(first, len(digits), 4))])
    in_threes = {f"{int(digits):,}".replace(",", sign) for sign in (",", " ", "'")} if digits.isdigit() else set()
    for sign in (" ", "'"):
        plain = whole.replace(sign, "")
        in_threes |= {f"{int(plain):,}".replace(",", sign)} if plain.isdigit() else set()
    assert whole == "" or whole.isdigit() or whole in in_threes or whole == in_fours
    assert fraction == "" or fraction.isdigit()
