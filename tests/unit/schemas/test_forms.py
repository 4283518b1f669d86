"""What people type is understood: each form of the table has its right value or its right refusal, and how many do is printed."""

from __future__ import annotations

from collections import Counter

import pytest

from schemas.signals.indicators import KINDS, canonical
from tests.support.forms import FORMS, Form

RECALL, PRECISION, FEWEST = 0.98, 1.0, 100


def outcome(form: Form) -> str:
    """The canonical form, or "!" and the sentence."""
    try:
        return canonical(form.kind, form.text)
    except ValueError as error:
        return f"!{error}"


def is_right(form: Form) -> bool:
    found = outcome(form)
    return form.right[1:] in found if form.right.startswith("!") and found.startswith("!") else found == form.right


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.kind}-{form.text!a}")
def test_a_form_has_its_right_value_or_its_right_refusal(form: Form) -> None:
    assert is_right(form), outcome(form)


def test_what_staff_write_is_understood_and_nothing_becomes_another_thing(capsys: pytest.CaptureFixture[str]) -> None:
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in (*KINDS, "all")}
    for form in FORMS:
        valid, accepted = not form.right.startswith("!"), not outcome(form).startswith("!")
        for name in (form.kind, "all"):
            counts[name].update(valid=valid, accepted=accepted, right=accepted and outcome(form) == form.right, forms=1)
    with capsys.disabled():
        for name, count in counts.items():
            recall, precision = count["right"] / count["valid"], count["right"] / count["accepted"]
            print(f"\n{name:12} {count['forms']:4} forms, {count['valid']:4} valid: {precision=:.3f} {recall=:.3f}", end="")
    total = counts["all"]
    assert total["forms"] >= FEWEST
    assert total["right"] / total["valid"] >= RECALL
    assert total["right"] / total["accepted"] == PRECISION


@pytest.mark.parametrize(
    "form", [form for form in FORMS if form.right.startswith("!")], ids=lambda form: f"{form.kind}-{form.text!a}"
)
def test_a_refusal_repeats_no_value(form: Form) -> None:
    assert form.text not in outcome(form)


def test_every_kind_is_in_the_table() -> None:
    assert {form.kind for form in FORMS} == set(KINDS)
