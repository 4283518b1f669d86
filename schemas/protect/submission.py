"""From the body an institution sent to the protected signal that enters the log. Pure but for the sealing nonce.

Invariant: the same institution and reference give the same signal id, on any gateway, after any loss of Redis; a body that
uses none of the later fields has the content and body id that it always had.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

from schemas.events import ENDS, EventFact, Mention, mentions
from schemas.indicators import RANK
from schemas.protect.sealing import Sealer
from schemas.protect.tokens import Tokenizer
from schemas.signals import SignalIn, SubmittedSignal, Trust
from schemas.subjects import NO_PLACEHOLDERS, Indicator, Placeholders, Subject, unmatched_as


def signal_id(tokenizer: Tokenizer, institution: str, reference: str) -> str:
    """`sig-` and 22 characters: a keyed name of (institution, reference), so it tells nothing; it never changes, whatever key
    makes tokens."""
    return "sig-" + tokenizer.lasting("signal", institution, reference)


def _order(mention: Indicator | Mention) -> tuple[bool, int, str]:
    return (mention.role != "suspect", RANK[mention.kind], mention.value)


class _Protected(NamedTuple):
    """The subjects of a signal in their order; what is the same in each sending of the content stands for each of them:
    `contents` by the token, `parts` in the order of the content."""

    subjects: list[Subject]
    contents: dict[str, str]
    parts: list[str]


def _protected(
    body: SignalIn, name: str, tokenizer: Tokenizer, sealer: Sealer, listed: Placeholders
) -> _Protected:
    """An unmatched subject comes after the matched ones of its role. Its token is made of the signal's id, so no other signal has
    it; the content still goes by the value, so that a re-send is known as one."""
    named = sorted(mentions(body.indicators, body.event), key=_order)
    subjects, contents, parts, last = [], {}, [], []
    for kind, value, role, part in ((one.kind, one.value, one.role, one.part) for one in named):
        token = content = tokenizer.token(kind, value)
        unmatched = unmatched_as(kind, value, listed)
        if unmatched is not None:
            token = tokenizer.token("unmatched", name, kind, role, part or "", value)
            contents[token] = content
        sealed = sealer.seal(value, f"{name}/{token}")
        subject = Subject.trusted(kind=kind, role=role, token=token, sealed=sealed, part=part, unmatched=unmatched)
        (subjects if unmatched is None else last).append(subject)
        parts.append(f"{role}{content}")
    if last:
        subjects = sorted(subjects + last, key=lambda one: one.role != "suspect")
    return _Protected(subjects, contents, parts)


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
    subjects, contents, parts = _protected(body, name, tokenizer, sealer, listed)
    amount = body.at_stake()
    more = _more(body, name, subjects, tokenizer, sealer)
    whose = _whose(name, trust, contact, sealer)
    content = "|".join(
        (
            body.kind,
            body.occurred_at.isoformat(),
            body.region,
            f"{amount.minor}{amount.currency}" if amount else "",
            *parts,
            *_said(more, body, contents),
        )
    )
    content_id = tokenizer.token("content", institution, content).partition(".")[2]
    return SubmittedSignal.trusted(
        signal_id=name,
        institution=institution,
        reference=reference,
        kind=body.kind,
        occurred_at=body.occurred_at,
        region=body.region,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        subjects=tuple(subjects),
        narrative_sealed=sealer.seal(body.narrative, f"{name}/narrative") if body.narrative else None,
        content_id=content_id,
        body_id=_body_id(body, content_id, contact, tokenizer),
        detected_at=body.detected_at,
        version=body.version,
        **more,
        **whose,
    )


def _whose(name: str, trust: Trust | None, contact: str | None, sealer: Sealer) -> dict[str, Any]:
    found: dict[str, Any] = {} if trust is None else {"trust": trust}
    return found | ({"contact_sealed": sealer.seal(contact, f"{name}/contact")} if contact else {})


def _more(body: SignalIn, name: str, subjects: list[Subject], tokenizer: Tokenizer, sealer: Sealer) -> dict[str, Any]:
    """What the later fields give, only those that are there: they count, so they are part of the content."""
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
    if body.event is not None:
        found["event"] = _event(body, name, subjects, sealer)
    return found


def _event(body: SignalIn, name: str, subjects: list[Subject], sealer: Sealer) -> EventFact:
    event = body.event
    assert event is not None
    fields = event.plain() | {subject.part: subject.token for subject in subjects if subject.part is not None}
    shown = getattr(event, "name", None)
    if shown is not None:
        fields["name_sealed"] = sealer.seal(shown, f"{name}/event.name")
    return EventFact.trusted(type=event.type, at=event.at or body.occurred_at, **fields)


def _said(more: dict[str, Any], body: SignalIn, contents: dict[str, str]) -> tuple[str, ...]:
    """The later fields as a part of the content: nothing when there is none. What is sealed is never the same twice, so the
    readable text stands for it; nor is the token of an unmatched subject (`contents`)."""
    if not more:
        return ()
    said = dict(more)
    if "event" in more:
        fact = {field: value for field, value in more["event"].__dict__.items() if value is not None}
        fact.pop("name_sealed", None)
        if contents:
            fact = {field: contents.get(value, value) if field in ENDS else value for field, value in fact.items()}
        said["event"] = fact | {"name": getattr(body.event, "name", None)}
    return (json.dumps(said, sort_keys=True, default=datetime.isoformat),)


def _body_id(body: SignalIn, content_id: str, contact: str | None, tokenizer: Tokenizer) -> str:
    narrative = body.narrative or ""
    if contact:
        return tokenizer.token("body, contact", content_id, contact, narrative).partition(".")[2]
    if body.detected_at is None:
        return tokenizer.token("body", content_id, narrative).partition(".")[2]
    return tokenizer.token("body, detected", content_id, body.detected_at.isoformat(), narrative).partition(".")[2]
