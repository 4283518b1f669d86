"""Scorecards: what each fact counts, what corrects it, what a card shows and hides, and how it is exported."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.scorecards import LAYOUTS, CampaignFigures, CardKind, DataFigures, Figures, Scorecard
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.signals.retraction import FOREVER
from stream_processors.domain.cases import decide as cases
from stream_processors.domain.scorecards import (
    book,
    card,
    cells_a_period,
    columns,
    contributions,
    counted,
    difference,
    from_csv,
    nested,
    ranking,
    samples,
    series,
    to_csv,
)
from stream_processors.domain.signals.retraction import standing_of
from tests.support.builders import POLICY, T0, after, fact, held_case, join, move, submitted, taken_back
from tests.support.scores import (
    DAY,
    IN_AN_HOUR,
    MONTH,
    UNIT,
    YEAR,
    CaseOf,
    DeadlineOf,
    MeasureOf,
    OrderOf,
    Whole,
    folded,
    of,
    times,
)

INSTITUTION = CardKind.INSTITUTION


def withdrawal(signal: AssessedSignal, below: int = FOREVER, dated: bool = True) -> AssessedSignal:
    left = standing_of(signal)
    assert left is not None
    if not dated:
        left = left.model_copy(update={"accepted_at": None, "known_at": None})
    return AssessedSignal.trusted(
        outcome=AssessOutcome.RETRACTION,
        emitted=0,
        accepted_at=after(days=40),
        institution="bank-001",
        below_version=below,
        retracted_contributions=(left,),
    )


def change(case: Any, action: Any, hours: int = 1) -> Any:
    """Give what the fact carries, and the case after it."""
    made = cases.decide(action=action, actor="a", case=case, policy=POLICY, now=after(hours=hours))
    assert made.case is not None
    return counted(Whole(case) if case else None, Whole(made.case)), made.case


def test_a_report_counts_on_the_day_in_china_when_the_log_took_it() -> None:
    late = T0.replace(hour=16, minute=30)  # half past midnight of the 3rd in China
    cells = folded(fact(submitted(), now=late))
    assert of(cells, "bank-001", "2026-03-03") == of(cells, "bank-001", MONTH) == {"reports_telecom_fraud": 1}
    assert of(cells, "bank-001", DAY) == {}
    assert times(cells, "bank-001", "time_report") == 1


def test_a_tip_counts_for_nobody() -> None:
    assert contributions(fact(submitted()).model_copy(update={"trust": "low"})) == []


@pytest.mark.parametrize(
    "outcome, figure",
    [
        ("duplicate_reference", "reports_repeated"),
        ("duplicate_content", "reports_repeated"),
        ("conflict", "reports_faulty"),
        ("refused", "reports_faulty"),
    ],
)
def test_what_was_no_new_report_is_counted_apart(outcome: str, figure: str) -> None:
    other = fact(submitted()).model_copy(update={"outcome": AssessOutcome(outcome)})
    assert of(folded(other), "bank-001") == {figure: 1}


def test_a_retraction_takes_the_report_out_of_the_month_where_it_counted() -> None:
    signal = fact(submitted())
    cells = folded(signal, withdrawal(signal))
    assert of(cells, "bank-001", MONTH) == {"reports_withdrawn": 1}
    assert times(cells, "bank-001", "time_report") == 0
    assert of(cells, "bank-001", "2026-04") == {}


def test_a_correction_replaces_a_report_and_is_no_withdrawal() -> None:
    first = fact(submitted())
    second = fact(submitted(version=2), now=after(hours=1))
    assert of(folded(first, second, withdrawal(first, below=2)), "bank-001") == {"reports_telecom_fraud": 1}


def test_a_retraction_that_does_not_say_when_its_report_counted_leaves_it_there() -> None:
    signal = fact(submitted())
    cells = folded(signal, withdrawal(signal, dated=False))
    assert of(cells, "bank-001", MONTH) == {"reports_telecom_fraud": 1}
    assert of(cells, "bank-001", "2026-04") == {"reports_withdrawn": 1}


def test_a_case_that_is_disposed_twice_counts_once_as_it_ended() -> None:
    first, case = change(held_case(), move("dispose", disposition="false_positive"))
    again, case = change(case, join(signal_id="sig-2", institution="bank-002"), hours=2)
    claimed, case = change(case, move("claim", action_id="c2"), hours=3)
    second, case = change(case, move("dispose", action_id="d2"), hours=4)
    assert claimed is None
    opened = counted(None, Whole(held_case()))
    assert of(folded(opened, first), UNIT) == {"cases": 1, "cases_false_positive": 1}
    assert of(folded(opened, first, again), UNIT) == {"cases": 1}
    whole = folded(opened, first, again, second)
    assert of(whole, UNIT) == {"cases": 1, "cases_confirmed": 1}
    assert of(whole, "bank-001") == of(whole, "bank-002") == {"confirmed": 1}
    assert times(whole, UNIT, "time_dispose") == 1


def test_a_case_that_is_closed_stays_disposed_and_one_opened_again_does_not() -> None:
    opened, disposed = CaseOf(), CaseOf().disposed()
    closed = disposed.but(status="closed")
    facts = [counted(None, opened), counted(opened, disposed), counted(disposed, closed)]
    assert of(folded(*facts), UNIT) == {"cases": 1, "cases_confirmed": 1}
    assert of(folded(*facts), "bank-001") == {"confirmed": 1}
    assert of(folded(*facts, counted(closed, disposed.but(status="open"))), UNIT) == {"cases": 1}


@pytest.mark.parametrize(
    ("clock", "status", "party", "figures"),
    [
        (DeadlineOf(), "open", UNIT, {"acknowledge_missing": 1}),
        (DeadlineOf(name="dispose"), "merged", UNIT, {"dispose_missing": 1}),
        (DeadlineOf(name="warn", about="bank-001"), "merged", "bank-001", {"warn_missing": 1}),
        (DeadlineOf(name="warn", about="bank-001"), "disposed", "bank-001", {}),
        (DeadlineOf(), "retracted", UNIT, {}),
    ],
)
def test_what_was_missed_is_not_undone_by_giving_the_case_away(
    clock: DeadlineOf, status: str, party: str, figures: dict[str, int]
) -> None:
    """Only that there was nothing after all undoes it: a false alarm for institutions, an empty case for all."""
    fired = replace(clock, state="fired", fired_at=IN_AN_HOUR, unit=UNIT)
    gone = replace(fired, state="cancelled", stopped_at=after(hours=9))
    other = CaseOf(status=status, queue="public-security-630203", deadlines=(gone,))
    cells = folded(counted(None, CaseOf(deadlines=(fired,))), counted(CaseOf(deadlines=(fired,)), other))
    found = of(cells, party)
    assert {name: n for name, n in found.items() if "missing" in name} == figures


def test_an_institution_that_takes_its_signal_back_has_no_part_in_the_disposal() -> None:
    both, case = change(held_case(), join(signal_id="sig-2", institution="bank-002"))
    disposed, case = change(case, move("dispose"), hours=2)
    gone, _ = change(case, taken_back(case.signals[0]), hours=3)
    assert both is None
    assert of(folded(disposed), "bank-002") == {"confirmed": 1}
    assert of(folded(disposed, gone), "bank-002") == {}
    assert of(folded(disposed, gone), "bank-001") == {"confirmed": 1}


def test_a_case_without_live_signals_is_no_case_of_the_unit() -> None:
    opened = counted(None, CaseOf())
    emptied = counted(CaseOf(), CaseOf(status="retracted", institutions=()))
    assert of(folded(opened, emptied), UNIT) == {"cases_emptied": 1}


def test_a_case_that_was_transferred_says_nothing_of_who_reported() -> None:
    cells = folded(counted(CaseOf(), CaseOf().disposed("transferred")))
    assert of(cells, UNIT) == {"cases_transferred": 1}
    assert of(cells, "bank-001") == {}


CLOCKS = [
    ({"state": "open"}, {}),
    ({"state": "cancelled", "stopped_at": T0}, {}),
    ({"state": "fired"}, {"acknowledge_missing": 1}),
    ({"state": "stopped", "stopped_at": after(minutes=59)}, {"acknowledge_in_time": 1}),
    ({"state": "stopped", "stopped_at": after(minutes=61)}, {"acknowledge_late": 1}),
    ({"state": "stopped", "stopped_at": after(minutes=61), "late": False}, {"acknowledge_in_time": 1}),
]


@pytest.mark.parametrize("how, figures", CLOCKS)
def test_a_clock_of_a_duty_says_in_time_late_or_missing(how: dict[str, Any], figures: dict[str, int]) -> None:
    running = CaseOf(deadlines=(DeadlineOf(),))
    cells = folded(counted(running, CaseOf(deadlines=(DeadlineOf(**how),))))
    assert of(cells, UNIT) == figures


def test_a_missed_duty_that_is_done_at_last_is_late_and_not_missing() -> None:
    running, fired = (
        CaseOf(deadlines=(DeadlineOf("warn", about="bank-001"),)),
        CaseOf(deadlines=(DeadlineOf("warn", about="bank-001", state="fired"),)),
    )
    done = CaseOf(deadlines=(DeadlineOf("warn", about="bank-001", state="stopped", stopped_at=after(days=3)),))
    assert of(folded(counted(running, fired)), "bank-001") == {"warn_missing": 1}
    assert of(folded(counted(running, fired), counted(fired, done)), "bank-001") == {"warn_late": 1}


def test_a_clock_that_is_no_duty_counts_for_nobody() -> None:
    assert counted(CaseOf(), CaseOf(deadlines=(DeadlineOf("emergency_stop", state="fired"),))) is None


DONE = {"state": "executed", "executed_at": after(minutes=5)}
ORDERS = [
    ({"state": "awaiting_approval", "issued_at": None}, {}),
    ({"state": "withdrawn"}, {}),
    ({"state": "released"}, {}),
    ({"state": "delivered"}, {"orders_open": 1}),
    ({"state": "delivered", "overdue": True}, {"orders_missing": 1}),
    ({"state": "expired"}, {"orders_missing": 1}),
    ({"state": "refused"}, {"orders_refused": 1}),
    ({"state": "failed"}, {"orders_failed": 1}),
    ({**DONE, "held_minor": 700}, {"orders_in_time": 1, "stops": 1, "stopped_minor": 700}),
    ({**DONE, "late": True, "held_minor": 1}, {"orders_late": 1, "stops": 1, "stopped_minor": 1}),
    ({**DONE, "state": "expired", "overdue": True}, {"orders_late": 1}),
    ({**DONE, "kind": "freeze", "held_minor": 9}, {"orders_in_time": 1, "freezes": 1, "frozen_minor": 9}),
    ({**DONE, "kind": "return_funds", "paid_minor": 4}, {"orders_in_time": 1, "returns": 1, "returned_minor": 4}),
    ({**DONE, "held_minor": 700, "currency": "USD"}, {"orders_in_time": 1, "stops": 1}),
]


@pytest.mark.parametrize("how, figures", ORDERS)
def test_an_order_says_what_its_recipient_made_of_it(how: dict[str, Any], figures: dict[str, int]) -> None:
    assert of(folded(counted(CaseOf(), CaseOf(orders=(OrderOf(**how),)))), "bank-001") == figures


def test_a_letter_is_answered_by_the_unit() -> None:
    letter = OrderOf(kind="supervision_letter", recipient=UNIT, state="executed", executed_at=after(days=1))
    assert of(folded(counted(CaseOf(), CaseOf(orders=(letter,)))), UNIT) == {"letters_in_time": 1}


def test_a_letter_to_an_institution_is_among_its_orders_and_in_no_units_card() -> None:
    letter = OrderOf(kind="supervision_letter", state="refused")
    cells = folded(counted(CaseOf(), CaseOf(orders=(letter,))))
    assert of(cells, "bank-001") == {"orders_refused": 1}
    assert {cell.kind for cell in cells} == {CardKind.INSTITUTION}


def test_what_else_a_unit_is_asked_counts_in_no_institutions_statistics() -> None:
    asked = OrderOf(kind="request_information", recipient=UNIT, **DONE)
    assert not of(folded(counted(CaseOf(), CaseOf(orders=(asked,)))), UNIT)


def test_a_stop_that_ran_out_did_stop_its_money() -> None:
    held = CaseOf(orders=(OrderOf(state="executed", executed_at=T0, held_minor=700),))
    over = CaseOf(orders=(OrderOf(state="expired", executed_at=T0, held_minor=0),))
    cells = folded(counted(CaseOf(), held), counted(held, over))
    assert of(cells, "bank-001")["stopped_minor"] == 700


def test_what_a_bounded_list_lets_go_of_keeps_counting() -> None:
    first, second = MeasureOf("mea-1", amount_minor=5), MeasureOf("mea-2", amount_minor=7)
    cells = folded(counted(CaseOf(), CaseOf(measures=(first,))), counted(CaseOf(measures=(first,)), CaseOf(measures=(second,))))
    assert of(cells, "bank-001") == {"blocks": 2, "blocked_minor": 12}


def test_a_join_carries_nothing_for_the_scorecards() -> None:
    case = CaseOf(deadlines=(DeadlineOf(),), orders=(OrderOf(),), measures=(MeasureOf(),))
    assert counted(case, case.but(institutions=("bank-001", "bank-002"))) is None


def test_a_campaign_and_its_correction() -> None:
    one = CampaignFigures(campaign_id="c", institution="bank-001", held_at=T0, people_reached=200)
    first = difference(Figures.trusted(), Figures.trusted(campaigns=(one,)))
    better = Figures.trusted(campaigns=(one.model_copy(update={"people_reached": 150}),))
    assert of(folded(first, difference(Figures.trusted(campaigns=(one,)), better)), "bank-001") == {
        "campaigns": 1,
        "campaign_reached": 150,
    }


@pytest.mark.parametrize(
    "how, figure",
    [
        ({}, "data_open"),
        ({"submitted_at": T0}, "data_in_time"),
        ({"submitted_at": after(days=2)}, "data_late"),
        ({"submitted_at": T0, "finding": "concealed"}, "data_concealed"),
        ({"submitted_at": T0, "finding": "omitted"}, "data_omitted"),
        ({"finding": "refused"}, "data_refused"),
    ],
)
def test_appraisal_data_are_in_time_late_concealed_omitted_or_refused(how: dict[str, Any], figure: str) -> None:
    one = DataFigures(request_id="r", unit=UNIT, due_at=after(days=1), **how)
    assert of(folded(difference(Figures.trusted(), Figures.trusted(data=(one,)))), UNIT) == {figure: 1}


def test_no_figure_is_of_both_kinds_and_every_ratio_and_time_is_of_one_family() -> None:
    names = [{figure for family in layout.families for figure in family.figures} for layout in LAYOUTS.values()]
    assert names[0].isdisjoint(names[1])
    for kind, layout in LAYOUTS.items():
        families = {family.name: family for family in layout.families}
        for ratio in layout.ratios:
            assert ratio.part in families[ratio.whole].parts
        assert {time.of for time in layout.times} <= families.keys()
        assert cells_a_period(kind) == {CardKind.INSTITUTION: 734, CardKind.UNIT: 376}[kind]


def shown(rows: dict[str, dict[str, int]], threshold: int = 5, **over: Any) -> Scorecard:
    return card(rows, kind=INSTITUTION, period=MONTH, threshold=threshold, **over)


def test_a_card_shows_counts_ratios_and_the_total() -> None:
    found = shown({"a": {"confirmed": 30, "false_positive": 10}, "b": {"confirmed": 10, "insufficient": 10}}, parties=("c",))
    assert [row.party for row in found.rows] == ["a", "b", "c"]
    assert found.rows[0].permille["precision"] == 750
    assert "precision" not in found.rows[2].permille and found.rows[2].counts["disposed"] == 0
    assert (found.total.counts["disposed"], found.total.permille["precision"]) == (60, 666)


def test_a_small_count_takes_the_next_smallest_with_it() -> None:
    found = shown({"a": {"warnings": 2}, "b": {"warnings": 9}, "c": {"warnings": 40}})
    assert ["warnings" in row.suppressed for row in found.rows] == [True, True, False]
    assert found.total.counts["warnings"] == 51


def test_money_and_times_are_hidden_with_the_count_that_they_are_of() -> None:
    rows = {"a": {"stops": 1, "stopped_minor": 99}, "b": {"stops": 9, "stopped_minor": 5}, "c": {"stops": 50, "stopped_minor": 7}}
    found = shown(rows)
    assert ["stopped_minor" in row.counts for row in found.rows] == [False, False, True]
    reports = {"reports_telecom_fraud": 9, "time_report:004": 9}
    found = shown({"a": {"reports_telecom_fraud": 1, "time_report:004": 1}, "b": reports, "c": reports})
    assert ["time_report" in row.durations for row in found.rows] == [False, False, True]


def test_the_only_party_with_a_small_count_takes_the_total_with_it() -> None:
    found = shown({"a": {"warnings": 2}, "b": {}})
    assert "warnings" in found.total.suppressed and found.rows[1].counts["warnings"] == 0


def test_without_a_threshold_all_is_shown_and_no_count_is_below_zero() -> None:
    found = shown({"a": {"warnings": 2, "blocks": -1}}, threshold=0)
    assert not found.rows[0].suppressed and found.rows[0].counts["blocks"] == 0


def test_equal_values_share_a_place_and_hidden_ones_have_none() -> None:
    found = shown({"a": {"warnings": 9}, "b": {"warnings": 40}, "c": {"warnings": 40}, "d": {"warnings": 1}})
    assert [(one.rank, one.party) for one in ranking(found, "warnings")] == [(1, "b"), (1, "c")]
    assert [one.party for one in ranking(found, "warnings", highest_first=False)] == ["b", "c"]


def test_periods_that_lie_within_each_other_are_known() -> None:
    assert nested(YEAR, MONTH) and nested(DAY, YEAR) and nested(MONTH, MONTH)
    assert not nested("2026-03", "2026-04") and not nested("2025", "2026-01-01")


def test_the_columns_of_a_csv_are_stable() -> None:
    found = columns(CardKind.UNIT)
    assert found[:7] == ["kind", "period", "party", "name", "cases", "cases_emptied", "cases_disposed"]
    assert found[-6:] == [f"time_{what}_{percent}_s" for what in ("acknowledge", "dispose") for percent in ("p50", "p90", "p99")]
    assert len(set(columns(INSTITUTION))) == len(columns(INSTITUTION)) == 67


def test_a_csv_tells_what_is_hidden_from_what_is_not_there() -> None:
    data = to_csv(
        shown({"a": {"warnings": 2}, "b": {"warnings": 9}, "c": {"warnings": 40}}), {"a": "=HYPERLINK()", "b": "农商银行"}
    )
    assert data.startswith(b"\xef\xbb\xbf") and not to_csv(shown({}), bom=False).startswith(b"\xef\xbb\xbf")
    lines = from_csv(data)
    assert [line["warnings"] for line in lines] == ["*", "*", "40", "51"]
    assert [line["name"] for line in lines] == ["=HYPERLINK()", "农商银行", "", ""]
    assert lines[0]["precision_permille"] == "" and lines[3]["party"] == "total"


def test_samples_are_bounded_and_say_nothing_that_is_hidden() -> None:
    found = shown({f"bank-{n:03}": {"warnings": n, "reports_telecom_fraud": 9, "time_report:004": 9} for n in range(40)})
    told = samples(found, most_parties=10)
    assert len(told) <= series(INSTITUTION, 10)
    assert {dict(one.labels)["institution"] for one in told} == {*(f"bank-{n:03}" for n in range(10)), "total"}
    assert not [one for one in told if ("figure", "warnings") in one.labels and ("institution", "bank-003") in one.labels]
    assert {one.metric for one in told} == {
        f"liandong_institution_{what}" for what in ("figure_records", "figure_fen", "time_seconds")
    }


def test_a_time_before_its_start_counts_as_none() -> None:
    early = fact(submitted(detected_at=T0 + timedelta(days=2)))
    assert ("time_report:000", 1) in [(add.cell.figure, add.n) for add in contributions(early)]
    assert book(folded(early), INSTITUTION, DAY) == {"bank-001": {"reports_telecom_fraud": 1, "time_report:000": 1}}
