"""The list of hubs, and what it does to a signal where values are readable."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.signals.hubs import Hubs
from tests.support.builders import HOTLINE, POLICY, account, submitted

ROW = {"name": "icbc", "kind": "phone", "value": "95588"}
LIST = Hubs.model_validate({"listed": [ROW, {"name": "sites", "kind": "domain", "value": "Sites.Google.com."}]})
NOBODY = Hubs()


@pytest.mark.parametrize(
    ("kind", "value", "mark"),
    [
        ("phone", "95588", "icbc"),
        ("phone", "95533", None),
        ("account", "95588", None),
        ("domain", "sites.google.com", "sites"),
        ("domain", "www.sites.google.com", None),
        ("url", "https://sites.google.com/", "sites"),
        ("url", "https://sites.google.com/view/a", None),
        ("url", "https://sites.google.com/view/", None),
        ("url", "https://sites.google.com/?next=/", None),
        ("url", "https://evil.com/", None),
    ],
)
def test_a_value_is_a_listed_hub_in_its_canonical_form_and_a_host_by_its_first_page(kind: str, value: str, mark: str | None):
    assert LIST.mark_of(kind, value) == mark


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ROW, {**ROW, "value": "95533"}], "the same name"),
        ([ROW, {**ROW, "name": "other", "value": "955 88"}], "the same value"),
        ([{**ROW, "name": "measured"}], "no row has the name measured"),
        ([{**ROW, "value": "many"}], "a phone must be E.164"),
    ],
)
def test_a_list_that_names_a_thing_twice_or_is_not_readable_is_refused(rows: list[dict[str, str]], said: str):
    with pytest.raises(ValidationError, match=said):
        Hubs.model_validate({"listed": rows})


def test_a_bound_is_high_enough_for_the_observation_to_count():
    assert Hubs.model_validate({"max_primary_subjects": None}).max_primary_subjects is None
    with pytest.raises(ValidationError):
        Hubs.model_validate({"max_primary_subjects": 3})


def marks(signal: Any) -> list[tuple[str, str | None]]:
    return [(subject.kind.value, subject.hub) for subject in signal.subjects]


def test_a_listed_hub_stands_behind_the_other_suspects_and_before_the_victims():
    handle = {"kind": "handle", "value": "telegram:somebody"}
    signal = submitted(hubs=LIST, indicators=[HOTLINE, handle, account(1, "victim")])
    assert marks(signal) == [("handle", None), ("phone", "icbc"), ("account", None)]
    assert marks(submitted(hubs=LIST, indicators=[HOTLINE])) == [("phone", "icbc")], "alone it is the primary subject"


def test_what_a_signal_says_does_not_depend_on_the_list():
    """A reference that is sent again after the list changed is the same signal, not another body."""
    same = [submitted(hubs=hubs, indicators=[HOTLINE, {"kind": "app", "value": "com.x.y"}]) for hubs in (LIST, NOBODY)]
    assert same[0].primary.token != same[1].primary.token
    assert (same[0].signal_id, same[0].body_id) == (same[1].signal_id, same[1].body_id)
    assert same[0].content_id != same[1].content_id, "it may stand in another partition: neither is the other's re-send"


def test_the_shipped_policy_lists_hotlines_and_shared_hosts():
    assert {POLICY.hubs.mark_of("phone", value) for value in ("110", "96110", "12381", "10086", "95588")} == {
        "police",
        "anti-fraud-96110",
        "anti-fraud-12381",
        "mobile-10086",
        "icbc-95588",
    }
    assert POLICY.hubs.mark_of("domain", "sites.google.com") == "google-sites"


def test_what_follows_from_a_listed_host_and_a_card_of_a_listed_account_is_the_hub_too() -> None:
    rows = [
        {"name": "docs", "kind": "domain", "value": "www.kdocs.cn"},
        {"name": "acquirer", "kind": "account", "value": "6222021001012345"},
    ]
    hubs = Hubs.model_validate({"listed": rows})
    assert hubs.mark_of("domain", "kdocs.cn") == hubs.mark_of("domain", "www.kdocs.cn") == "docs"
    assert hubs.mark_of("card", "6222021001012345") == "acquirer"
    with pytest.raises(ValueError, match="same value"):
        Hubs.model_validate({"listed": [*rows, {"name": "other", "kind": "card", "value": "6222021001012345"}]})
