"""From the body an institution sent to the protected signal that enters the log. Pure but for the sealing nonce.

Invariant: the same institution and reference give the same signal id, on any gateway, after any loss of Redis; a body that
uses none of the later fields has the content and body id that it always had.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

from schemas.events import EventFact, Mention, mentions
from schemas.indicators import RANK, IndicatorKind
from schemas.protect.sealing import Sealer
from schemas.protect.tokens import Tokenizer
from schemas.signals import SignalIn, SubmittedSignal, Trust
from schemas.subjects import NO_PLACEHOLDERS, Indicator, Part, Placeholders, Role, Subject, Unmatched, unmatched_as


def signal_id(tokenizer: Tokenizer, institution: str, reference: str) -> str:
    """`sig-` and 22 characters: a keyed name of (institution, reference), so it tells nothing; it never changes, whatever key
    makes tokens."""
    return "sig-" + tokenizer.lasting("signal", institution, reference)


def _order(mention: Indicator | Mention) -> tuple[bool, int, str]:
    return (mention.role != "suspect", RANK[mention.kind], mention.value)


class _Named(NamedTuple):
    """A thing that a signal names. `content` is its keyed value, `token` what it is matched by: another one where it is
    unmatched."""

    kind: IndicatorKind
    value: str
    role: Role
    part: Part | None
    content: str
    token: str
    unmatched: Unmatched | None


def protect(
    body: SignalIn,
    *,
    institution: str,
    reference: str,
    tokenizer: Tokenizer,
    sealer: Sealer,
    trust: Trust | None = None,
    contact: str | None = None,
    listed: Placeholders = NO_PLACEHOLDERS,
) -> SubmittedSignal:
    """The signal as it travels. `reference` is the sender's own or its Idempotency-Key; `contact` is a tip's; `listed` are the
    policy's placeholders."""
    name = signal_id(tokenizer, institution, reference)
    named = [_named(mention, tokenizer, listed) for mention in sorted(mentions(body.indicators, body.event), key=_order)]
    amount = body.at_stake()
    more = _more(body, tokenizer)
    content = "|".join(
        (
            body.kind,
            body.occurred_at.isoformat(),
            body.region,
            f"{amount.minor}{amount.currency}" if amount else "",
            *(f"{one.role}{one.content}" for one in named),
            *_said(more, body, named),
        )
    )
    content_id = tokenizer.token("content", institution, content).partition(".")[2]
    named = _set_apart(named, content_id, tokenizer)
    if body.event is not None:
        more["event"] = _event(body, name, named, sealer)
    return SubmittedSignal.trusted(
        signal_id=name,
        institution=institution,
        reference=reference,
        kind=body.kind,
        occurred_at=body.occurred_at,
        region=body.region,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        subjects=tuple([_subject(one, name, sealer) for one in named]),
        narrative_sealed=sealer.seal(body.narrative, f"{name}/narrative") if body.narrative else None,
        content_id=content_id,
        body_id=_body_id(body, content_id, contact, tokenizer),
        detected_at=body.detected_at,
        version=body.version,
        **more,
        **_whose(name, trust, contact, sealer),
    )


def _named(mention: Indicator | Mention, tokenizer: Tokenizer, listed: Placeholders) -> _Named:
    kind, value = mention.kind, mention.value
    token = tokenizer.token(kind, value)
    return _Named(kind, value, mention.role, mention.part, token, token, unmatched_as(kind, value, listed))


def _set_apart(named: list[_Named], content_id: str, tokenizer: Tokenizer) -> list[_Named]:
    """Unmatched things with tokens of their own, behind the matched ones of their role. The token is made of the content, so that
    it is no other signal's, but a re-send's, which is found by it."""
    if all(one.unmatched is None for one in named):
        return named
    apart = [one if one.unmatched is None else one._replace(token=_own_token(one, content_id, tokenizer)) for one in named]
    return sorted(apart, key=lambda one: (one.role != "suspect", one.unmatched is not None))


def _own_token(one: _Named, content_id: str, tokenizer: Tokenizer) -> str:
    return tokenizer.token("unmatched", content_id, one.kind, one.role, one.part or "", one.value)


def _subject(one: _Named, name: str, sealer: Sealer) -> Subject:
    sealed = sealer.seal(one.value, f"{name}/{one.token}")
    return Subject.trusted(
        kind=one.kind, role=one.role, token=one.token, sealed=sealed, part=one.part, unmatched=one.unmatched
    )


def _whose(name: str, trust: Trust | None, contact: str | None, sealer: Sealer) -> dict[str, Any]:
    found: dict[str, Any] = {} if trust is None else {"trust": trust}
    return found | ({"contact_sealed": sealer.seal(contact, f"{name}/contact")} if contact else {})


def _more(body: SignalIn, tokenizer: Tokenizer) -> dict[str, Any]:
    """What the later fields give but for the event, only those that are there: they count, so they are part of the content."""
    found: dict[str, Any] = {}
    if body.typology is not None:
        found["typology"] = body.typology
    if body.stage is not None:
        found["stage"] = body.stage
    if body.loss is not None:
        found["loss_minor"], found["loss_currency"] = body.loss.minor, body.loss.currency
    if body.derived_from is not None:
        institution, slash, reference = body.derived_from.partition("/")
        found["derived_from"] = signal_id(tokenizer, institution, reference) if slash else institution
    return found


def _event(body: SignalIn, name: str, named: list[_Named], sealer: Sealer) -> EventFact:
    event = body.event
    assert event is not None
    fields = event.plain() | {one.part: one.token for one in named if one.part is not None}
    shown = getattr(event, "name", None)
    if shown is not None:
        fields["name_sealed"] = sealer.seal(shown, f"{name}/event.name")
    return EventFact.trusted(type=event.type, at=event.at or body.occurred_at, **fields)


def _said(more: dict[str, Any], body: SignalIn, named: list[_Named]) -> tuple[str, ...]:
    """The later fields as a part of the content: nothing when there is none. What is sealed is never the same twice, so the
    readable text stands for it."""
    event = body.event
    if event is None:
        return (json.dumps(more, sort_keys=True, default=datetime.isoformat),) if more else ()
    ends: dict[str, Any] = {one.part: one.content for one in named if one.part is not None}
    plain = {field: value for field, value in event.plain().items() if value is not None}
    fact = {"type": event.type, "at": event.at or body.occurred_at, "name": getattr(event, "name", None)}
    fact |= plain | ends
    return (json.dumps({**more, "event": fact}, sort_keys=True, default=datetime.isoformat),)


def _body_id(body: SignalIn, content_id: str, contact: str | None, tokenizer: Tokenizer) -> str:
    narrative = body.narrative or ""
    if contact:
        return tokenizer.token("body, contact", content_id, contact, narrative).partition(".")[2]
    if body.detected_at is None:
        return tokenizer.token("body", content_id, narrative).partition(".")[2]
    return tokenizer.token("body, detected", content_id, body.detected_at.isoformat(), narrative).partition(".")[2]
