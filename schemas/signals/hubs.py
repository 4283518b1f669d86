"""Hubs: subjects shared by many unrelated cases, such as a bank's hotline that callers imitate, an acquirer or a shared host.

A hub is listed in the policy, or measured: seen beside more primary subjects than the policy allows. Invariant: the mark of a hub
is the name of its row in the list, or `MEASURED`, and never the readable value.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from schemas.common import PartyId, Strict
from schemas.signals.indicators import MATCHED_AS, IndicatorKind
from schemas.signals.indicators.derived import derive
from schemas.signals.subjects import Named

MEASURED = "measured"
"""The mark of a measured hub. No row of the list may have this name."""
MOST_LISTED = 2000
FEWEST_PRIMARIES = 4
"""The lowest limit. Primary subjects are counted only where there may be more than this (state/lua/observe.lua)."""

HubName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class ListedHub(Named):
    """One row: `{name: icbc, kind: phone, value: "95588", owner: bank-icbc}`. `label` is for people. `owner` is the institution
    to notify when signals name its number or site."""

    name: HubName
    label: str = Field(default="", max_length=64)
    owner: PartyId | None = None


class Hubs(Strict):
    """`max_primary_subjects`: a subject beside more primary subjects than this within `window_s` is a hub; None: nothing is
    measured."""

    max_primary_subjects: int | None = Field(default=10, ge=FEWEST_PRIMARIES, le=1000)
    listed: Annotated[tuple[ListedHub, ...], Field(max_length=MOST_LISTED)] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names, things = [hub.name for hub in self.listed], [_thing(hub.kind, hub.value) for hub in self.listed]
        for what, values in (("name", names), ("value", things)):
            if len(set(values)) != len(values):
                raise ValueError(f"hubs.listed: two rows have the same {what}")
        if any(hub.name == MEASURED for hub in self.listed):
            raise ValueError(f"hubs.listed: no row has the name {MEASURED}")
        return self

    @cached_property
    def _by_value(self) -> dict[tuple[str, str], str]:
        """The listed values and their derived ones: the site of a listed host, the phone of a listed handle."""
        names = {_thing(hub.kind, hub.value): hub.name for hub in self.listed}
        for hub in self.listed:
            for kind, value in derive(hub.kind, hub.value):
                names.setdefault(_thing(kind, value), hub.name)
        return names

    @cached_property
    def _by_name(self) -> dict[str, ListedHub]:
        return {hub.name: hub for hub in self.listed}

    def row(self, name: str | None) -> ListedHub | None:
        """Returns the row of a mark; None for a measured hub, and for a row that left the list."""
        return None if name is None else self._by_name.get(name)

    def mark_of(self, kind: str, value: str) -> str | None:
        """Returns the name of the row that lists this canonical value. The first page of a listed host is the host itself."""
        name = self._by_value.get(_thing(kind, value))
        if name is None and kind == IndicatorKind.URL and value.count("/") == 3 and value.endswith("/"):
            return self._by_value.get((IndicatorKind.DOMAIN, urlsplit(value).hostname or ""))
        return name


def _thing(kind: str, value: str) -> tuple[str, str]:
    """A card and an account of one number are one thing."""
    return (MATCHED_AS.get(kind, kind), value)


NO_HUBS = Hubs(max_primary_subjects=None)
