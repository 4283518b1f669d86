"""Each field of the case has a row: who reads it, and what becomes of it when a case opens again, is merged, split or absorbs.

Whoever adds a field adds its row; docs/howto/case-field.md is the page. Invariant: each column is what the code does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from gateway.rendering.case_views import OwnCaseOut
from gateway.rendering.cases import _MADE, CaseOut
from schemas.cases.case import Action, Case, Portion
from stream_processors.domain.cases import structure
from stream_processors.domain.cases.signals import again
from stream_processors.domain.cases.step import CaseEffects
from tests.support.builders import POLICY, T0, case_in, move


class Row(NamedTuple):
    """`officers`, `institutions`: the field of CaseOut and OwnCaseOut that shows it; "" is not shown, and NOT_SHOWN says why.

    `again`: a case that opens again starts it anew (signals join, or an officer reopens). `transferred`: so does another unit.
    `merged`: what a case that was merged away has lost or set. `split`: what is other when signals are split off. `handed`: it is
    in the Portion. `merged_from`: what the receiving case changes. `opened`: what a case that was split off begins with.
    """

    officers: str = ""
    institutions: str = ""
    changes: str = ""


FIELDS: dict[str, Row] = {
    "case_id": Row("case_id", "case_id", "opened"),
    "queue": Row("queue", "", "transferred opened"),
    "revision": Row("revision"),
    "status": Row("status", "", "again transferred merged opened"),
    "opened_at": Row("opened_at", "opened_at", "opened"),
    "changed_at": Row("changed_at"),
    "primary_subject": Row("primary_subject", "", "handed opened"),
    "primary_signal_id": Row("", "", "handed opened"),
    "score": Row("score", "", "merged split absorbed opened"),
    "severity": Row("severity", "", "merged split absorbed opened"),
    "kinds": Row("kinds", "", "merged split absorbed opened"),
    "institutions": Row("institutions", "other_institutions", "merged split handed absorbed opened"),
    "signal_count": Row("signal_count", "", "merged split handed absorbed opened"),
    "amount_minor": Row("amount_minor", "", "merged split handed absorbed opened"),
    "signals": Row("signals", "signals", "merged split handed absorbed opened"),
    "holder": Row("holder", "", "again transferred merged"),
    "lease_until": Row("lease_until", "", "again transferred merged"),
    "disposition": Row("disposition"),
    "disposed_by": Row("disposed_by"),
    "disposed_at": Row("disposed_at"),
    "note_sealed": Row("note"),
    "reopen_count": Row("reopen_count", "", "again"),
    "applied": Row(),
    "retracted_signal_count": Row(),
    "tally": Row("", "", "merged split handed absorbed opened"),
    "acknowledged_at": Row("acknowledged_at", "", "again transferred"),
    "acknowledged_by": Row("acknowledged_by", "", "again transferred"),
    "closed_at": Row("closed_at", "", "again transferred"),
    "closed_by": Row("closed_by", "", "again transferred"),
    "linked_case_ids": Row("linked_case_ids", "", "handed absorbed opened"),
    "merged_into": Row("merged_into", "merged_into", "merged"),
    "merged_from": Row("merged_from", "", "absorbed opened"),
    "split_from": Row("split_from", "", "opened"),
    "split_count": Row("", "", "split"),
    "split_off": Row("", "", "split"),
    "transfers": Row("transfers", "", "transferred"),
    "deadlines": Row("deadlines", "deadlines", "transferred split handed"),
    "measures": Row("measures", "measures", "merged handed absorbed opened"),
    "orders": Row("orders", "orders"),
    "dissuasions": Row("dissuasions", "dissuasions"),
    "appeals": Row("appeals", "appeals"),
    "leads_only": Row("", "", "opened"),
}

NOT_SHOWN = {
    "primary_signal_id": "in its context the value of `primary` opens",
    "applied": "ids of requests, for the stage alone",
    "retracted_signal_count": "a count for operators",
    "tally": "what the score follows from when a signal is taken back",
    "split_count": "numbers the next case that is split off",
    "split_off": "where the stage forwards what still comes",
    "leads_only": "officers see the kinds; institutions must not know it",
}
NOT_FOR_INSTITUTIONS = frozenset(
    {
        *(
            "queue",
            "revision",
            "status",
            "changed_at",
            "primary_subject",
            "score",
            "severity",
            "kinds",
            "signal_count",
            "amount_minor",
        ),
        *("holder", "lease_until", "disposition", "disposed_by", "disposed_at", "note_sealed", "reopen_count", "acknowledged_at"),
        *("acknowledged_by", "closed_at", "closed_by", "linked_case_ids", "merged_from", "split_from", "transfers"),
    }
)
"""Fields that officers read and institutions do not: of a case they are told what is theirs, and the outcome by feedback."""


def test_every_field_of_the_case_has_its_row() -> None:
    assert set(FIELDS) == set(Case.model_fields)


def test_what_officers_are_not_shown_is_named_with_a_reason() -> None:
    assert {name for name, row in FIELDS.items() if not row.officers} == set(NOT_SHOWN)
    assert {name for name, row in FIELDS.items() if not row.institutions} == set(NOT_SHOWN) | NOT_FOR_INSTITUTIONS


def test_each_answer_has_the_fields_that_show_the_case_and_no_others() -> None:
    made = {"lease_expired", "phase", "allowed_transitions", "links"}
    assert {row.officers for row in FIELDS.values() if row.officers} == set(CaseOut.model_fields) - made
    assert {row.institutions for row in FIELDS.values() if row.institutions} == set(OwnCaseOut.model_fields) - {"links"}


def test_a_field_that_is_copied_has_its_name_in_the_case() -> None:
    assert set(CaseOut.model_fields) >= _MADE
    assert set(CaseOut.model_fields) - _MADE <= set(Case.model_fields), "misspelt, or made here: then it belongs to _MADE"


def _changes_of(done: Any) -> set[str]:
    assert isinstance(done, CaseEffects)
    return set(done.changes)


def _handed(case: Case, kind: str, **over: Any) -> tuple[CaseEffects, Action]:
    action = move(kind, **over)
    done = getattr(structure, kind)(action, case, POLICY, T0)
    assert isinstance(done, CaseEffects)
    return done, done.follows[0]


CLAIMED = case_in("claimed")
MERGED, ABSORBED = _handed(CLAIMED, "merge")
SPLIT, OPENED = _handed(CLAIMED, "split")
OTHER = CLAIMED.model_copy(update={"case_id": "case-0"})
DONE: dict[str, set[str]] = {
    "again": set(again(CLAIMED)),
    "transferred": _changes_of(structure.transfer(move("transfer"), CLAIMED, POLICY, T0)),
    "merged": set(MERGED.changes),
    "split": set(SPLIT.changes),
    "handed": set(Portion.model_fields) - {"source_case_id"},
    "absorbed": _changes_of(structure.absorb(ABSORBED, OTHER, POLICY, T0)),
    "opened": _changes_of(structure.absorb(OPENED, None, POLICY, T0)),
}


@pytest.mark.parametrize("way", DONE)
def test_what_becomes_of_a_field_is_what_its_row_says(way: str) -> None:
    assert {name for name, row in FIELDS.items() if way in row.changes.split()} == DONE[way]


def test_a_row_names_no_other_ways() -> None:
    assert {way for row in FIELDS.values() for way in row.changes.split()} == set(DONE)
