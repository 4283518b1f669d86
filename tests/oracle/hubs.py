"""Hubs, naively: subjects that many unrelated signals share. Listed ones are certain. Of others it is only said which may have
been measured as hubs at some time, for what was known when is not determined.

Invariant: what is not in `maybe_measured` was never measured as a hub.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.oracle.expected_log import Member
from tests.oracle.reference_model import Content, Indicator, Policy, ends, same

BELONG = {"url": ("domain", "ip"), "phone": ("sim", "imsi", "imei", "device")}
"""Kind of a primary subject -> kinds that are a part of it, and are not shared by being seen beside it."""
OWN = "own case"


def beside(content: Content) -> Iterable[tuple[Indicator, Indicator]]:
    """(subject, primary subject) of each suspect that is seen beside another one. Of leads no hub is measured."""
    if content.lead:
        return
    event = content.optional.get("event") or {}
    named = {(kind, value): role for role, kind, value in content.indicators}
    moved = {thing for part, thing, _ in ends(event, named) if part in ("payer", "payee")}
    primary, further = content.primary, content.further
    for one in (*content.suspects, *further):
        natural = one[0] in BELONG.get(primary[0], ()) or (one in further and primary[0] == "domain")
        if one not in content.listed and same(one) != same(primary) and one not in moved and not natural:
            yield content.apart(one), same(primary)


def maybe_measured(members: Iterable[Member], policy: Policy) -> frozenset[Indicator]:
    """Subjects that were seen beside more primary subjects than the policy allows, at whatever times."""
    seen: dict[Indicator, set[Indicator]] = defaultdict(set)
    for member in members:
        for subject, primary in beside(member.content):
            seen[subject].add(primary)
    most = policy.most_primaries
    return frozenset() if most is None else frozenset(one for one, primaries in seen.items() if len(primaries) > most)


def leading(content: Content, maybe: frozenset[Indicator], references: Iterable[str]) -> list[Indicator]:
    """The subjects whose case it may join, the likely one first; one when it is determined. A signal of hubs alone has a case of
    its own, named by one of its references."""
    found = []
    for one in content.suspects:
        if one in content.listed:
            continue
        found.append(content.apart(one))
        if found[-1] not in maybe:
            return found
    if content.nobody is not None:
        return [*found, content.apart(content.nobody)]
    return found + [(OWN, f"{content.who}/{one}") for one in sorted(set(references))]
