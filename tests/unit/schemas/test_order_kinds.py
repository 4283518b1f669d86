"""The table of the kinds of orders: every kind has a row, and the columns of a row do not contradict each other."""

from __future__ import annotations

import pytest

from schemas.measures import MeasureKind
from schemas.orders.kinds import (
    ABOUT_ANOTHER,
    HOLDS,
    LETTERS,
    NAMES_SUBJECT,
    ORDER_KINDS,
    PAYS_BACK,
    REVERSIBLE,
    TAKEDOWNS,
    OrderKind,
    OrderKindSpec,
)
from schemas.scorecards import LAYOUTS, CardKind
from stream_processors.domain.notifications import reversals
from tests.oracle.case_oracle import HOLDING, LASTING


def test_every_kind_has_its_row_and_no_column_a_default() -> None:
    assert list(ORDER_KINDS) == list(OrderKind)
    assert not OrderKindSpec._field_defaults


@pytest.mark.parametrize("kind", OrderKind)
def test_what_lasts_or_pays_can_be_undone_and_what_does_neither_leaves_nothing_behind(kind: OrderKind) -> None:
    assert (ORDER_KINDS[kind].reversal is not None) == (kind in REVERSIBLE or kind in PAYS_BACK)


@pytest.mark.parametrize("kind", OrderKind)
def test_an_order_has_a_subject_or_a_text_or_the_order_that_it_is_about(kind: OrderKind) -> None:
    assert (kind in NAMES_SUBJECT) + (kind in LETTERS) + (kind in ABOUT_ANOTHER) == 1


def test_what_holds_money_or_takes_down_lasts() -> None:
    assert HOLDS | TAKEDOWNS <= REVERSIBLE
    assert not HOLDS & TAKEDOWNS and not PAYS_BACK & REVERSIBLE


@pytest.mark.parametrize("kind", OrderKind)
def test_money_moves_between_kinds_that_hold_it(kind: OrderKind) -> None:
    spec = ORDER_KINDS[kind]
    assert spec.replaces is None or {kind, spec.replaces} <= HOLDS
    assert (spec.paid_from in HOLDS) == spec.pays_back
    assert not spec.is_compared or spec.holds_money


@pytest.mark.parametrize("kind", OrderKind)
def test_the_money_of_a_kind_counts_in_figures_that_a_scorecard_has(kind: OrderKind) -> None:
    figures = ORDER_KINDS[kind].figures
    assert (figures is not None) == (kind in HOLDS or kind in PAYS_BACK)
    families = {family.name: family for family in LAYOUTS[CardKind.INSTITUTION].families}
    assert figures is None or families[figures.number].money == (figures.amount,)


def test_every_measure_says_what_takes_it_back_or_that_nothing_does() -> None:
    assert set(reversals._OF_MEASURES) == set(MeasureKind)


def test_the_oracle_knows_what_lasts_and_what_holds() -> None:
    assert set(LASTING) == REVERSIBLE and set(HOLDING) == HOLDS
