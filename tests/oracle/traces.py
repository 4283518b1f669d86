"""What signals leave behind of victims and transfers, naively: lower and upper bounds of what was known of them.

More is never less here: each value grows (or a span shortens) with the signals that were known. So what surely stood before
gives the lower bound, all that there is the upper one. The sets are bounded; a group that may have lost members has no lower one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tests.oracle.expected_log import Member
from tests.oracle.reference_model import Content, Indicator, Known, Policy, ends, instant_ms, is_apart, plain, same

KEPT = 32
"""The smaller of the two bounds of the sets."""


@dataclass(frozen=True)
class Trace:
    """One member of one set: of a victim (`kind` contact, payment, other) or of a suspect's transfer (`kind` out, in)."""

    member: Member
    kind: str
    at_ms: int
    other: Indicator = ("", "")
    amount_minor: int = 0
    currency: str = ""


def traces(content: Content) -> Iterable[tuple[Indicator, tuple[Any, ...]]]:
    """(whose, (kind, at, other end, amount, currency)) of a content."""
    event = content.optional.get("event") or {}
    at = instant_ms(event["at"]) if event.get("at") else content.occurred_ms
    kind = "contact" if event.get("type") in ("call", "message") else "other"
    if kind == "other" and (event.get("type") == "transfer" or content.optional.get("stage") in ("payment_pending", "paid")):
        kind = "payment"
    for victim in set(content.victims) - content.listed:
        yield victim, (kind, at, ("", ""), 0, "")
    if event.get("type") != "transfer":
        return
    if any(is_apart(event[part]["kind"], event[part]["value"]) for part in ("payer", "payee")):
        return
    named = {(one[1], one[2]): one[0] for one in content.indicators}
    money = event["amount"]
    thing = {part: same((event[part]["kind"], plain(event[part]["kind"], event[part]["value"]))) for part in ("payer", "payee")}
    for part, whose, role in ends(event, named):
        if role == "suspect" and whose not in content.listed:
            way, other = ("out", thing["payee"]) if part == "payer" else ("in", thing["payer"])
            yield whose, (way, at, other, money["minor"], money.get("currency", "CNY"))


def add_traces(
    members: list[Member],
    policy: Policy,
    base: dict[int, tuple[Known, Known]],
    maybe: frozenset[Indicator] = frozenset(),
) -> dict[int, tuple[Known, Known]]:
    """`base` (by id of the member: at least, at most) with what victims and transfers add. `maybe`: subjects that may have been
    measured as hubs, which give nothing then."""
    groups: dict[tuple[str, Indicator], list[Trace]] = defaultdict(list)
    for member in members:
        for whose, (kind, *rest) in traces(member.content):
            sort = "flow" if kind in ("in", "out") else "victim"
            groups[sort, member.content.apart(whose)].append(Trace(member, kind, *rest))
    found = dict(base)
    for (sort, whose), group in groups.items():
        look = _flow if sort == "flow" else _victim
        for one in group:
            low, high = found[id(one.member)]
            sure = {} if whose in maybe else look(one, _before(one, group), policy)
            if one.member.content.apart(one.other) in maybe:
                sure.pop("repeated_pair", None)
            found[id(one.member)] = (_worse(low, sure), _worse(high, look(one, group, policy)))
    return found


def _before(one: Trace, group: list[Trace]) -> list[Trace]:
    """What was surely there when it was assessed, itself included."""
    if len(group) > KEPT:
        return []
    own = one.member
    return [
        other
        for other in group
        if other is one
        or (other.member.sure and other.member.partition == own.partition is not None and other.member.high < own.low)
    ]


def _victim(one: Trace, others: list[Trace], policy: Policy) -> dict[str, int]:
    """Earlier events of this victim, and the shortest time between a contact and a payment."""
    left = [other for other in others if not other.member.content.echo]
    wanted = {"contact": "payment", "payment": "contact"}.get(one.kind)
    sign = 1 if one.kind == "payment" else -1
    spans = [(one.at_ms - other.at_ms) * sign for other in left if other.kind == wanted]
    gaps = [span for span in spans if 0 <= span <= policy.longest_ms("contact")]
    earlier = sum(other.at_ms <= one.at_ms - policy.apart_ms for other in left)
    return {"repeat_victim": earlier, "contact_ms": min(gaps, default=-1)}


def _flow(one: Trace, others: list[Trace], policy: Policy) -> dict[str, int]:
    """Other ends of the same direction, transfers with this one by one reporter, and how long nearly the same money stayed."""
    left = [other for other in others if not other.member.content.echo]
    near = [other for other in left if other.kind == one.kind and abs(other.at_ms - one.at_ms) < policy.flows_ms]
    pairs = [other.member.content.who for other in near if other.other == one.other]
    fan = {"in": "fan_in", "out": "fan_out"}[one.kind]
    spans = [_held(one, other, policy) for other in left if other.kind != one.kind and other.other != one.other]
    held = min((span for span in spans if span >= 0), default=-1)
    most = max((pairs.count(who) for who in pairs), default=0)
    pairs_count = 0 if one.other in one.member.content.listed else most
    return {"repeated_pair": pairs_count, fan: len({other.other for other in near}), "held_ms": held}


def _held(one: Trace, other: Trace, policy: Policy) -> int:
    came, went = (other, one) if one.kind == "out" else (one, other)
    span = went.at_ms - came.at_ms
    enough = came.amount_minor * (1000 - policy.permille_lost) <= went.amount_minor * 1000
    same = one.currency == other.currency and enough and went.amount_minor <= came.amount_minor
    return span if same and 0 <= span <= policy.longest_ms("pass_through") else -1


def _worse(known: Known, found: dict[str, int]) -> Known:
    changed = {}
    for name, value in found.items():
        old = getattr(known, name)
        shorter = name.endswith("_ms") and value >= 0 and (old < 0 or value < old)
        changed[name] = value if shorter or (not name.endswith("_ms") and value > old) else old
    return replace(known, **changed)
