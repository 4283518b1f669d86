"""From the body an institution sent to the protected signal that enters the log. Pure but for the sealing nonce.

Invariant: the same institution and reference give the same signal id, on any gateway, after any loss of Redis; a body that
uses none of the later fields has the content and body id that it always had.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from schemas.events import EventFact, Mention, mentions
from schemas.indicators import RANK, IndicatorKind
from schemas.indicators.derived import derive
from schemas.protect.sealing import Sealer
from schemas.protect.tokens import Tokenizer
from schemas.signals import MAX_DERIVED, SignalIn, SubmittedSignal, Trust
from schemas.subjects import Indicator, Subject


def signal_id(tokenizer: Tokenizer, institution: str, reference: str) -> str:
    """`sig-` and 22 characters: a keyed name of (institution, reference), so it tells nothing; it never changes, whatever key
    makes tokens."""
    return "sig-" + tokenizer.lasting("signal", institution, reference)


def _order(mention: Indicator | Mention) -> tuple[bool, int, str]:
    return (mention.role != "suspect", RANK[mention.kind], mention.value)


def protect(
    body: SignalIn,
    *,
    institution: str,
    reference: str,
    tokenizer: Tokenizer,
    sealer: Sealer,
    trust: Trust | None = None,
    contact: str | None = None,
) -> SubmittedSignal:
    """The signal as it travels. `reference` is the sender's own or its Idempotency-Key; `contact` is a tip's."""
    name = signal_id(tokenizer, institution, reference)
    subjects = []
    ordered = sorted(mentions(body.indicators, body.event), key=_order)
    for mention in ordered:
        token = tokenizer.subject(mention.kind, mention.value)
        sealed = sealer.seal(mention.value, f"{name}/{token}")
        subjects.append(Subject.trusted(kind=mention.kind, role=mention.role, token=token, sealed=sealed, part=mention.part))
    derived = _derived(ordered, {subject.token for subject in subjects}, name, tokenizer, sealer)
    amount = body.at_stake()
    more = _more(body, name, subjects, tokenizer, sealer)
    whose = _whose(name, trust, contact, sealer)
    content = "|".join(
        (
            body.kind,
            body.occurred_at.isoformat(),
            body.region,
            f"{amount.minor}{amount.currency}" if amount else "",
            *(f"{subject.role}{subject.token}" for subject in subjects),
            *_said(more, body),
        )
    )
    for mention in ordered:  # a content has the name that it had while a card was not matched with an account
        if mention.kind == IndicatorKind.CARD:
            older = tokenizer.token(mention.kind, mention.value)
            content = content.replace(tokenizer.subject(mention.kind, mention.value), older)
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
        subjects=(*subjects, *derived),
        narrative_sealed=sealer.seal(body.narrative, f"{name}/narrative") if body.narrative else None,
        content_id=content_id,
        body_id=_body_id(body, content_id, contact, tokenizer),
        detected_at=body.detected_at,
        version=body.version,
        **more,
        **whose,
    )


def _derived(
    ordered: Sequence[Indicator | Mention], named: set[str], name: str, tokenizer: Tokenizer, sealer: Sealer
) -> list[Subject]:
    """What the suspects name besides themselves, each once, behind all that the sender named. It is no part of the content."""
    found: dict[str, Subject] = {}
    for mention in ordered:
        for kind, value in derive(mention.kind, mention.value) if mention.role == "suspect" else ():
            token = tokenizer.subject(kind, value)
            if token not in named and token not in found and len(found) < MAX_DERIVED:
                sealed = sealer.seal(value, f"{name}/{token}")
                found[token] = Subject.trusted(kind=kind, role="suspect", token=token, sealed=sealed, derived=True)
    return list(found.values())


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


def _said(more: dict[str, Any], body: SignalIn) -> tuple[str, ...]:
    """The later fields as a part of the content: nothing when there is none. What is sealed is never the same twice, so the
    readable text stands for it."""
    if not more:
        return ()
    said = dict(more)
    if "event" in more:
        fact = {field: value for field, value in more["event"].__dict__.items() if value is not None}
        fact.pop("name_sealed", None)
        said["event"] = fact | {"name": getattr(body.event, "name", None)}
    return (json.dumps(said, sort_keys=True, default=datetime.isoformat),)


def _body_id(body: SignalIn, content_id: str, contact: str | None, tokenizer: Tokenizer) -> str:
    narrative = body.narrative or ""
    if contact:
        return tokenizer.token("body, contact", content_id, contact, narrative).partition(".")[2]
    if body.detected_at is None:
        return tokenizer.token("body", content_id, narrative).partition(".")[2]
    return tokenizer.token("body, detected", content_id, body.detected_at.isoformat(), narrative).partition(".")[2]
