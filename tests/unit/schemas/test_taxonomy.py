"""The taxonomy: ids that are F3's, names in both languages, no kind without a typology."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.signals.taxonomy import EVENT_TYPES, KINDS, SENDERS, TYPOLOGIES, SignalKind, TypologyId, markdown

F3 = Path("/work/shared/data/f3/f3-stix.json")


def test_every_technique_is_one_of_f3() -> None:
    if not F3.exists():
        pytest.skip(f"NOT CHECKED: the F3 technique ids, for {F3} is not on this machine")
    objects = json.loads(F3.read_text("utf-8"))["objects"]
    known = {
        reference.get("external_id")
        for one in objects
        if one["type"] == "attack-pattern" and not one.get("revoked") and not one.get("x_mitre_deprecated")
        for reference in one.get("external_references", [])
    }
    assert len(known) > 50
    unknown = {one.id: set(one.techniques) - known for one in TYPOLOGIES.values() if set(one.techniques) - known}
    assert not unknown


def test_every_typology_has_a_kind_and_both_names() -> None:
    assert set(TYPOLOGIES) == set(TypologyId)
    for name, one in TYPOLOGIES.items():
        assert name == one.id
        assert one.kinds
        assert any("\u4e00" <= letter <= "\u9fff" for letter in one.zh)
        assert one.en.isascii()
    assert len({one.zh for one in TYPOLOGIES.values()}) == len({one.en for one in TYPOLOGIES.values()}) == len(TYPOLOGIES)


def test_every_kind_has_an_article_and_typologies() -> None:
    assert set(KINDS) == set(SignalKind)
    assert {kind for one in TYPOLOGIES.values() for kind in one.kinds} == set(SignalKind)


def test_every_event_is_sent_by_somebody() -> None:
    assert {event for sender in SENDERS for event in sender.events} == set(EVENT_TYPES)


def test_the_page_is_in_step_with_the_table() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "reference" / "taxonomy.md"
    assert page.read_text("utf-8") == markdown(), "python -m schemas.signals.taxonomy > docs/reference/taxonomy.md"
