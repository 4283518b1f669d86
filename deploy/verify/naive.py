"""The oracle's own reading of bodies and policy: naive, for the values that our generators make. No code of the system.

Invariant: nothing of schemas.indicators, schemas.protect or stream_processors is imported here, so a fault there is seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

KINDS = ("account", "card", "phone", "url", "domain")
Indicator = tuple[str, str]


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


def instant_ms(text: str) -> int:
    """Milliseconds since 1970 of an instant with its offset."""
    moment = datetime.fromisoformat(text)
    return round(moment.timestamp() * 1_000_000) // 1000


@dataclass(frozen=True)
class Content:
    """What makes two signals of one institution the same, whatever their references."""

    who: str
    kind: str
    occurred_ms: int
    region: str
    amount_minor: int | None
    currency: str | None
    indicators: frozenset[tuple[str, str, str]]

    @property
    def suspects(self) -> list[Indicator]:
        """In the order in which the primary subject is chosen."""
        found = [(kind, value) for role, kind, value in self.indicators if role == "suspect"]
        return sorted(found, key=lambda one: (KINDS.index(one[0]), one[1]))

    @property
    def primary(self) -> Indicator:
        return self.suspects[0]


def content_of(who: str, body: dict[str, Any]) -> Content:
    """KeyError or ValueError when the body is none that could be accepted."""
    amount = body.get("amount") or {}
    return Content(
        who,
        body["kind"],
        instant_ms(body["occurred_at"]),
        body["region"],
        amount.get("minor"),
        amount.get("currency", "CNY") if amount else None,
        frozenset((one.get("role", "suspect"), one["kind"], plain(one["kind"], one["value"])) for one in body["indicators"]),
    )


def body_key(who: str, body: dict[str, Any]) -> str:
    """Equal for two bodies that say the same, narrative included."""
    content = content_of(who, body)
    shown = [content.kind, content.occurred_ms, content.region, content.amount_minor, content.currency]
    return json.dumps([*shown, sorted(content.indicators), (body.get("narrative") or "").strip()], ensure_ascii=False)


class Policy:
    """The policy file, read as it stands."""

    def __init__(self, path: Path) -> None:
        raw = yaml.safe_load(path.read_text("utf-8"))
        self.window_ms = int(raw["window_s"]) * 1000
        self.city = str(raw["city"])
        self._counties = {str(code) for code in raw["counties"]}
        self._rules = raw["rules"]
        self._severities = sorted((int(points), name) for name, points in raw["severities"].items())
        self._case_from = int(raw["case_from"])
        self._routes = raw["routes"]

    def score(self, content: Content, sightings: int, institutions: int) -> int:
        points = int(self._rules["kind"].get(content.kind, 0))
        if content.amount_minor is not None and content.currency == "CNY":
            points += _step(self._rules["amount"], "from_minor", content.amount_minor)
        points += _step(self._rules["velocity"], "from_count", sightings)
        points += _step(self._rules["institutions"], "from_count", institutions)
        return min(100, points)

    def severity(self, score: int) -> str:
        reached = [name for points, name in self._severities if score >= points]
        return reached[-1] if reached else "none"

    def queues(self, content: Content) -> list[tuple[str, int]]:
        """(queue, score from which a case is opened there)."""
        found = []
        for rule in self._routes[content.kind]:
            place = content.region if rule["scope"] == "county" and content.region in self._counties else self.city
            threshold = 0 if rule.get("always") else rule.get("from_score")
            found.append((f"{rule['agency']}-{place}", self._case_from if threshold is None else int(threshold)))
        return found


def _step(steps: list[dict[str, int]], bound: str, value: int) -> int:
    return max((int(step["points"]) for step in steps if value >= int(step[bound])), default=0)
