"""The oracle's own reading of bodies and policy: naive, for the values that our generators make. No code of the system.

Invariant: nothing of schemas.signals.indicators, schemas.security or stream_processors is imported here, so a fault there is
seen.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from publicsuffixlist import PublicSuffixList

KINDS = (
    "account",
    "card",
    "wallet",
    "merchant",
    "phone",
    "sim",
    "imsi",
    "imei",
    "device",
    "handle",
    "resident_id",
    "uscc",
    "app",
    "url",
    "domain",
    "ip",
)
PARTS = {
    "payer": "victim",
    "payee": "suspect",
    "caller": "suspect",
    "callee": "victim",
    "sender": "suspect",
    "recipient": "victim",
}
Indicator = tuple[str, str]
SUFFIXES, PUBLIC_SUFFIXES = PublicSuffixList(accept_unknown=False), PublicSuffixList(accept_unknown=False, only_icann=True)


def plain(kind: str, text: str) -> str:
    """The value as it is matched."""
    text = text.strip()
    if kind in ("account", "card"):
        return text.replace(" ", "").replace("-", "").upper()
    if kind == "phone":
        text = text.replace(" ", "").replace("-", "")
        if text.startswith("00"):
            return "+" + text[2:]
        if text.startswith("+"):
            return text
        return "+86" + text.removeprefix("0")
    text = text.replace("[.]", ".").replace("hxxp", "http")
    if kind == "domain":
        return text.lower().rstrip(".")
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}/{path.split('#')[0] if slash else ''}"


_NOBODY = ("unknown", "null", "none", "n/a", "无", "未知", "不详")
_FORMS = {
    "account": r"[0-9A-Z]{6,34}",
    "card": r"[0-9]{12,19}",
    "phone": r"\+[0-9]{7,15}",
    "url": r"https?://[^/]+\.[^/]+/?.*",
    "domain": r"[^/:]+\.[^/:]+",
}


def is_apart(kind: str, text: str) -> bool:
    """Whether a value is nobody's, or none of its kind: it is matched with nothing."""
    bare = text.strip()
    if bare.lower() in _NOBODY or not bare.strip("0"):
        return True
    return re.fullmatch(_FORMS.get(kind, ".*"), plain(kind, text)) is None


def same(thing: Indicator) -> Indicator:
    """A card and an account of one number are one thing."""
    kind, value = thing
    return ("account", value) if kind == "card" else (kind, value)


def hosts(kind: str, value: str) -> list[Indicator]:
    """The host of an address, and of a host its site: where `www.` alone stands before it, or the list of suffixes names an
    operator that gives hosts to its customers."""
    host = value.split("/")[2].partition(":")[0] if kind == "url" else value
    if kind not in ("url", "domain"):
        return []
    if host.replace(".", "").isdigit():
        return [("ip", host)]
    site = SUFFIXES.privatesuffix(host)
    given = site is not None and site != PUBLIC_SUFFIXES.privatesuffix(host)
    found = [host, site] if site is not None and (given or host == f"www.{site}") else [host]
    return [("domain", one) for one in found if (kind, value) != ("domain", one)]


def instant_ms(text: str) -> int:
    """Milliseconds since 1970 of an instant with its offset."""
    moment = datetime.fromisoformat(text)
    return round(moment.timestamp() * 1_000_000) // 1000


@dataclass(frozen=True)
class Content:
    """What makes two signals of one institution the same, whatever their references. `more`: the optional fields, as sent;
    `listed`: what it names of the policy's list of hubs."""

    who: str
    kind: str
    occurred_ms: int
    region: str
    amount_minor: int | None
    currency: str | None
    indicators: frozenset[tuple[str, str, str]]
    more: str = ""
    listed: frozenset[Indicator] = frozenset()

    @property
    def suspects(self) -> list[Indicator]:
        """Those that are matched, in the order in which the primary subject is chosen: listed hubs last."""
        return sorted(self._matched("suspect"), key=lambda one: one in self.listed)

    @property
    def victims(self) -> list[Indicator]:
        return self._matched("victim")

    @property
    def primary(self) -> Indicator:
        """The first suspect that is no listed hub; else one that is nobody's; else a hub."""
        matched = self.suspects
        if matched and matched[0] not in self.listed:
            return matched[0]
        return self.nobody or matched[0]

    @property
    def nobody(self) -> Indicator | None:
        """The first suspect that is nobody's: it is this content's alone."""
        found = [(KINDS.index(kind), kind, value) for role, kind, value in self.indicators if role == "suspect"]
        first = min((one for one in found if is_apart(*one[1:])), default=None)
        return None if first is None else (first[1], f"{first[2]} of {self!r}")

    def _matched(self, wanted: str) -> list[Indicator]:
        found = [(kind, value) for role, kind, value in self.indicators if role == wanted and not is_apart(kind, value)]
        return sorted(found, key=lambda one: (KINDS.index(one[0]), one[1]))

    @property
    def lead(self) -> bool:
        """Of organized crime: what such signals say counts for such signals alone."""
        return self.kind == "organized_crime"

    @property
    def seen(self) -> list[Indicator]:
        """The suspects as they are matched, with what follows from them (hosts, sites), each once; no listed hubs."""
        found = (one for one in (*self.suspects, *self.further) if one not in self.listed)
        return list(dict.fromkeys(self.apart(one) for one in found))

    @property
    def further(self) -> list[Indicator]:
        """What follows from the suspects and is not named."""
        named = {same((kind, value)) for _, kind, value in self.indicators}
        return [one for suspect in self.suspects for one in hosts(*suspect) if one not in named]

    def apart(self, thing: Indicator) -> Indicator:
        """The thing as it is matched: leads of organized crime have sets and cases of their own."""
        kind, value = same(thing)
        return (f"{kind} of leads", value) if self.lead else (kind, value)

    @property
    def case_subject(self) -> Indicator:
        return self.apart(self.primary)

    @cached_property
    def optional(self) -> dict[str, Any]:
        """stage, loss, derived_from, typology, event: those that were sent."""
        found: dict[str, Any] = json.loads(self.more or "{}")
        return found

    @property
    def echo(self) -> bool:
        return "derived_from" in self.optional


def content_of(who: str, body: dict[str, Any], hubs: frozenset[Indicator] = frozenset()) -> Content:
    """KeyError or ValueError when the body is none that could be accepted. `hubs`: the policy's list."""
    event = body.get("event") or {}
    amount = body.get("amount") or event.get("amount") or {}
    more = {name: body[name] for name in ("stage", "loss", "derived_from", "typology", "event") if body.get(name)}
    named = {(one["kind"], plain(one["kind"], one["value"])): one.get("role", "suspect") for one in body.get("indicators") or ()}
    indicators = {(role, kind, value) for (kind, value), role in named.items()}
    indicators |= {(role, *thing) for _, thing, role in ends(event, named)} | {
        ("suspect", kind, plain(kind, value)) for kind, value in _things(event)
    }
    return Content(
        who,
        body["kind"],
        instant_ms(body["occurred_at"]),
        body["region"],
        amount.get("minor"),
        amount.get("currency", "CNY") if amount else None,
        frozenset(indicators),
        json.dumps(more, sort_keys=True) if more else "",
        hubs & {one for _, kind, value in indicators for one in ((kind, value), *hosts(kind, value))},
    )


def ends(event: dict[str, Any], named: dict[Indicator, str]) -> list[tuple[str, Indicator, str]]:
    """(part, indicator, role): the role that the event gives, or that the indicators give, or the part's own."""
    found = []
    for part, usual in PARTS.items():
        if one := event.get(part):
            thing = (one["kind"], plain(one["kind"], one["value"]))
            found.append((part, thing, one.get("role") or named.get(thing) or usual))
    return found


def _things(event: dict[str, Any]) -> list[Indicator]:
    found = [("url", one) for one in event.get("urls") or ()]
    names = (("url", "url"), ("domain", "domain"), ("app", "package"), ("url", "download_url"))
    return found + [(kind, event[name]) for kind, name in names if event.get(name)]


def body_key(who: str, body: dict[str, Any]) -> str:
    """Equal for two bodies that say the same, narrative included."""
    content = content_of(who, body)
    shown = [content.kind, content.occurred_ms, content.region, content.amount_minor, content.currency, content.more]
    return json.dumps([*shown, sorted(content.indicators), (body.get("narrative") or "").strip()], ensure_ascii=False)


COUNTED = ("velocity", "institutions", "confirmed", "repeat_victim", "repeated_pair", "fan_in", "fan_out")
NEVER = 101


@dataclass(frozen=True)
class Known:
    """What was known of a signal's suspects, victims and transfer when it was assessed; -1: no such span."""

    accepted_ms: int
    velocity: int = 1
    institutions: int = 1
    confirmed: int = 0
    repeat_victim: int = 0
    repeated_pair: int = 0
    fan_in: int = 0
    fan_out: int = 0
    contact_ms: int = -1
    held_ms: int = -1


class Policy:
    """The policy file, read as it stands."""

    def __init__(self, path: Path) -> None:
        raw = yaml.safe_load(path.read_text("utf-8"))
        self.window_ms = int(raw["window_s"]) * 1000
        self.city = str(raw["city"])
        self._counties = {str(code) for code in raw["counties"]}
        self._rules = raw["rules"]
        self._severities = sorted((int(points), name) for name, points in raw["severities"].items())
        self._case_from = int(raw["case_threshold"])
        self._routes = raw["routes"]
        flows = raw.get("flows") or {}
        self.flows_ms = int(flows.get("window_s", 86_400)) * 1000
        self.permille_lost = int(flows.get("max_loss_permille", 50))
        self.apart_ms = int(flows.get("victim_window_s", 86_400)) * 1000
        hubs = raw.get("hubs") or {}
        self.most_primaries: int | None = hubs.get("max_primary_subjects", 10)
        self.listed = frozenset((str(one["kind"]), plain(one["kind"], str(one["value"]))) for one in hubs.get("listed", ()))

    def score(self, content: Content, known: Known) -> int:
        optional, points = content.optional, 0
        points += int(self._rules["kind"].get(content.kind, 0))
        points += int(self._rules.get("stage", {}).get(optional.get("stage"), 0))
        if content.amount_minor is not None and content.currency == "CNY":
            points += self._from("amount", content.amount_minor)
        loss = optional.get("loss") or {}
        if loss.get("minor") and loss.get("currency", "CNY") == "CNY":
            points += self._from("loss", loss["minor"])
        points += self._within("freshness", max(0, known.accepted_ms - content.occurred_ms))
        for name in COUNTED:
            points += self._from(name, getattr(known, name))
        points += self._within("contact", known.contact_ms) + self._within("pass_through", known.held_ms)
        event = optional.get("event") or {}
        if event.get("registered_at"):
            at = instant_ms(event["at"]) if event.get("at") else content.occurred_ms
            points += self._within("new_domain", at - instant_ms(event["registered_at"]))
        return min(100, points)

    def _from(self, rule: str, value: int) -> int:
        bound = "from_minor" if rule in ("amount", "loss") else "from_count"
        return max((int(step["points"]) for step in self._rules.get(rule, ()) if value >= int(step[bound])), default=0)

    def _within(self, rule: str, span_ms: int) -> int:
        steps = self._rules.get(rule, ()) if span_ms >= 0 else ()
        return max((int(step["points"]) for step in steps if span_ms // 1000 <= int(step["within_s"])), default=0)

    def longest_ms(self, rule: str) -> int:
        """The longest span that a rule looks at."""
        return max((int(step["within_s"]) for step in self._rules.get(rule, ())), default=0) * 1000

    def severity(self, score: int) -> str:
        reached = [name for points, name in self._severities if score >= points]
        return reached[-1] if reached else "none"

    def queues(self, content: Content, hubs: frozenset[Indicator] = frozenset()) -> list[tuple[str, int]]:
        """(queue, score from which a case is opened there; more than any score when only an open case draws it there). `hubs`:
        suspects that were measured as such."""
        found: dict[str, int] = {}
        named = {(kind, value) for role, kind, value in content.indicators if role == "suspect"}
        kinds = {one[0] for one in named - content.listed if content.apart(one) not in hubs}
        for rule in self._routes[content.kind]:
            place = content.region if rule["scope"] == "county" and content.region in self._counties else self.city
            threshold = 0 if rule.get("always") else rule.get("from_score")
            concerned = kinds & set(rule.get("indicator_kinds", kinds)) and content.region in rule.get(
                "regions", [content.region]
            )
            points = self._case_from if threshold is None else int(threshold)
            queue = f"{rule['agency']}-{place}"
            found[queue] = min(found.get(queue, NEVER), points if concerned else NEVER)
        return list(found.items())
