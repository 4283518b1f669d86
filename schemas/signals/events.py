"""Events as one institution saw them: a transfer, a call, a message, a site, an app.

Invariant: everything an event names becomes a subject of the signal (`mentions`), validated and protected like an indicator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from schemas.common import Amount, AmountMinor, AtMost, Currency, EventTime, GivenInstant, Instant, Name, Sealed, Stored, Strict
from schemas.signals.indicators import IndicatorKind, kinds_where
from schemas.signals.subjects import SENT_CHARACTERS, End, Indicator, Part, Role, read_value, unmatched_as
from schemas.signals.taxonomy import EventType

MAX_URLS = 8

_SENT = StringConstraints(min_length=1, max_length=SENT_CHARACTERS)
Url = Annotated[str, _SENT, AfterValidator(partial(read_value, IndicatorKind.URL))]
Domain = Annotated[str, _SENT, AfterValidator(partial(read_value, IndicatorKind.DOMAIN))]
Package = Annotated[str, _SENT, AfterValidator(partial(read_value, IndicatorKind.APP))]
Channel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")]
"""Channel of a transfer in the sender's own short word: `mobile_bank`, `counter`, `qr`."""

_MONEY = kinds_where(lambda spec: spec.holds_money)
_LINES = kinds_where(lambda spec: spec.is_line)

ENDS: dict[Part, tuple[Role, frozenset[str]]] = {
    "payer": ("victim", _MONEY),
    "payee": ("suspect", _MONEY),
    "caller": ("suspect", _LINES),
    "callee": ("victim", _LINES),
    "sender": ("suspect", _LINES),
    "recipient": ("victim", _LINES),
}
"""Part of an event -> its default role, and the kinds of indicator that it may have."""


_THINGS = (
    ("package", IndicatorKind.APP),
    ("url", IndicatorKind.URL),
    ("domain", IndicatorKind.DOMAIN),
    ("download_url", IndicatorKind.URL),
)
"""Members of an event that hold an indicator each."""


class Mention(NamedTuple):
    """One thing that a signal names. In this order and by the `RANK` of the kind, the first one is the primary subject."""

    kind: IndicatorKind
    value: str
    role: Role
    event_role: Part | None = None


class NamedPlace(NamedTuple):
    """The place of a name in a body: the members that lead to it."""

    at: tuple[str | int, ...]
    kind: IndicatorKind
    value: str

    @property
    def of_value(self) -> tuple[str | int, ...]:
        """The place of its value."""
        return (*self.at, "value") if self.at[0] == "indicators" or self.at[1] in ENDS else self.at


class _Event(Strict):
    """`at`: the time of the event, if it is not the signal's `occurred_at`."""

    parts: ClassVar[tuple[Part, ...]] = ()
    at: EventTime | None = None

    @model_validator(mode="after")
    def _ends(self) -> Self:
        ends: list[End] = [getattr(self, part) for part in self.parts]
        for part, end in zip(self.parts, ends, strict=True):
            if end.kind not in ENDS[part][1]:
                raise ValueError(f"a {part} must be one of {', '.join(sorted(ENDS[part][1]))}")
        if len({(end.kind, end.value) for end in ends}) < len(ends) and unmatched_as(ends[0].kind, ends[0].value) is None:
            raise ValueError(f"{self.parts[0]} and {self.parts[1]} must differ")
        return self

    def things(self) -> Iterable[tuple[IndicatorKind, str]]:
        """The other things that the event names; each is a suspect."""
        return ()

    def money(self) -> Amount | None:
        """The amount that moved."""
        return None

    def plain(self) -> dict[str, Any]:
        """The members of EventFact that name nobody."""
        return {}


class Transfer(_Event):
    """A transfer of money. By default the payee is the suspect and the payer the victim; a `role` overrides this."""

    type: Literal["transfer"]
    parts = ("payer", "payee")
    payer: End
    payee: End
    amount: Amount
    channel: Channel | None = None

    def money(self) -> Amount:
        return self.amount

    def plain(self) -> dict[str, Any]:
        return {"amount_minor": self.amount.minor, "currency": self.amount.currency, "channel": self.channel}


class PhoneCall(_Event):
    """A phone call. By default the caller is the suspect; a `role` overrides this."""

    type: Literal["call"]
    parts = ("caller", "callee")
    caller: End
    callee: End
    duration_s: int | None = Field(default=None, ge=0, le=10**6)

    def plain(self) -> dict[str, Any]:
        return {"duration_s": self.duration_s}


class Message(_Event):
    """A text message or chat message, or `count` similar ones. Its `urls` are suspects."""

    type: Literal["message"]
    parts = ("sender", "recipient")
    sender: End
    recipient: End
    count: int | None = Field(default=None, ge=1, le=10**9)
    urls: Annotated[tuple[Url, ...], AtMost(MAX_URLS)] = ()

    def things(self) -> Iterable[tuple[IndicatorKind, str]]:
        return [(IndicatorKind.URL, url) for url in self.urls]

    def plain(self) -> dict[str, Any]:
        return {"count": self.count}


class Site(_Event):
    """A web site by its address or its domain. `registered_at`: registration of the domain, given as evidence."""

    type: Literal["site"]
    url: Url | None = None
    domain: Domain | None = None
    registered_at: GivenInstant | None = None

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.url is None and self.domain is None:
            raise ValueError("a site requires a url or a domain")
        return self

    def things(self) -> Iterable[tuple[IndicatorKind, str]]:
        named = ((IndicatorKind.URL, self.url), (IndicatorKind.DOMAIN, self.domain))
        return [(kind, value) for kind, value in named if value is not None]

    def plain(self) -> dict[str, Any]:
        return {"domain_registered_at": self.registered_at}


class App(_Event):
    """An app: its package, its visible name, its download address (a suspect, too)."""

    type: Literal["app"]
    package: Package
    name: str | None = Field(default=None, min_length=1, max_length=100)
    download_url: Url | None = None

    def things(self) -> Iterable[tuple[IndicatorKind, str]]:
        yield IndicatorKind.APP, self.package
        if self.download_url is not None:
            yield IndicatorKind.URL, self.download_url


Event = Annotated[Transfer | PhoneCall | Message | Site | App, Field(discriminator="type")]


class EventFact(Stored):
    """The event as it travels. `at` is always present. Its ends are tokens of subjects of the same signal; the name of an app is
    sealed in the context `<signal id>/event.name`."""

    type: EventType
    at: EventTime
    amount_minor: AmountMinor | None = None
    currency: Currency | None = None
    channel: Name | None = None
    payer: Name | None = None
    payee: Name | None = None
    caller: Name | None = None
    callee: Name | None = None
    sender: Name | None = None
    recipient: Name | None = None
    duration_s: int | None = Field(default=None, ge=0, le=10**6)
    count: int | None = Field(default=None, ge=1, le=10**9)
    domain_registered_at: Instant | None = None
    name_sealed: Sealed | None = None


def mentions(indicators: Sequence[Indicator], event: Event | None) -> Sequence[Indicator | Mention]:
    """Returns everything a signal names, each once. A thing in both `indicators` and the event has the part of the event."""
    if event is None:
        once = {(indicator.kind, indicator.value, indicator.role): indicator for indicator in reversed(indicators)}
        return indicators if len(once) == len(indicators) else list(reversed(once.values()))
    mentioned: dict[tuple[str | None, ...], Mention] = {
        (indicator.kind, indicator.value, indicator.role): Mention(indicator.kind, indicator.value, indicator.role)
        for indicator in indicators
    }
    for mention in _of_event(event, {(named.kind, named.value): named.role for named in mentioned.values()}):
        key: tuple[str | None, ...] = mention[:3]
        if key in mentioned and mentioned[key].event_role is not None and mention.event_role is not None:
            key = mention  # both ends have the same value, which stands for none: they are two
        mentioned[key] = mention
    return list(mentioned.values())


def _of_event(event: Event, roles: dict[tuple[IndicatorKind, str], Role]) -> Iterator[Mention]:
    for part in event.parts:
        end: End = getattr(event, part)
        yield Mention(end.kind, end.value, end.role or roles.get((end.kind, end.value)) or ENDS[part][0], part)
    for kind, value in event.things():
        yield Mention(kind, value, "suspect")


def places(indicators: Sequence[Indicator], event: Event | None) -> Iterator[NamedPlace]:
    """Returns everything a body names in its order, by place; a repeated thing is listed twice."""
    if event is not None:
        for part in event.parts:
            end: End = getattr(event, part)
            yield NamedPlace(("event", part), end.kind, end.value)
        for name, kind in _THINGS:
            if (value := getattr(event, name, None)) is not None:
                yield NamedPlace(("event", name), kind, value)
        for n, value in enumerate(getattr(event, "urls", ())):
            yield NamedPlace(("event", "urls", n), IndicatorKind.URL, value)
    for n, indicator in enumerate(indicators):
        yield NamedPlace(("indicators", n), indicator.kind, indicator.value)
