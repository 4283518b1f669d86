"""What an institution is told of a case, after any sequence of actions: its own part, and of others no more than how many."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.caller import Caller, Role
from gateway.rendering.case_views import own_case
from schemas.cases.case import Case
from schemas.ids import APPEAL, DISSUASION, ORDER, case_of, name_of
from stream_processors.views.allowed_actions import concerns, feedback_of
from tests.property.test_case_loop import BANKS, OFFICERS, STEPS, Play
from tests.support.builders import SEALER


def _cases(steps: list[Any]) -> list[Case]:
    return [change.case for *_, change in Play().run(steps).played if change.case is not None]


@given(STEPS)
def test_no_institution_reads_of_another_or_of_an_officer_by_name(steps: list[Any]) -> None:
    for case in _cases(steps)[-6:]:
        for bank in BANKS:
            told = own_case(case, SEALER, Caller(bank, Role.INSTITUTION, (), 0.0)).model_dump_json()
            named = [one for one in (*BANKS, *OFFICERS) if one != bank and one in told]
            assert not named, (bank, named)


@given(STEPS)
def test_who_is_told_anything_of_a_case_may_see_it_and_nobody_else(steps: list[Any]) -> None:
    for case in _cases(steps)[-6:]:
        for bank in (*BANKS, "bank-999"):
            told = own_case(case, SEALER, Caller(bank, Role.INSTITUTION, (), 0.0))
            own = (told.signals, told.measures, told.orders, told.dissuasions, told.appeals)
            assert concerns(case, bank) or not any(own)
        assert not concerns(case, "bank-999")


@given(STEPS)
def test_feedback_names_nobody_and_promises_no_more_than_is_held(steps: list[Any]) -> None:
    for case in _cases(steps)[-6:]:
        for one in case.signals:
            told = feedback_of(case, one.signal_id, one.institution)
            assert not any(name in told.model_dump_json() for name in (*BANKS, *OFFICERS))
            assert told.corroborated_by <= max(0, len(case.institutions))
            assert told.signal_id == one.signal_id


_CASE = st.from_regex(r"case-[0-9a-f]{1,24}(~[0-9]{1,3}){0,3}", fullmatch=True)


@given(_CASE, st.sampled_from([ORDER, DISSUASION, APPEAL]), st.text(min_size=1, max_size=60))
def test_a_name_leads_back_to_its_case_and_to_no_other_form(case: str, form: Any, action: str) -> None:
    name = name_of(form, case, action)
    assert case_of(form, name) == case
    assert all(case_of(other, name) is None for other in (ORDER, DISSUASION, APPEAL) if other != form)


@given(st.text(max_size=200), st.sampled_from([ORDER, DISSUASION, APPEAL]))
def test_whatever_is_no_name_leads_to_a_case_or_nowhere(text: str, form: Any) -> None:
    found = case_of(form, text)
    assert found is None or found.startswith("case-")
