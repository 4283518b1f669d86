"""Turns a request body into the protected signal of the log. Pure except for the sealing nonce.

Invariant: the same institution and reference give the same signal id, on any gateway, after any loss of Redis. A body without the
later members keeps its old content and body id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from schemas.security.sealing import Sealer
from schemas.security.tokens import Tokenizer
from schemas.signals.events import EventFact, Mention, mentions
from schemas.signals.hubs import NO_HUBS, Hubs
from schemas.signals.indicators import MATCHED_AS, RANK, is_placeholder
from schemas.signals.indicators.derived import Derived, derive
from schemas.signals.subjects import NO_PLACEHOLDERS, Indicator, Placeholders, Subject, unmatched_as
from schemas.signals.submission import MAX_DERIVED, SignalIn, SubmittedSignal, Trust


def signal_id(tokenizer: Tokenizer, institution: str, reference: str) -> str:
    """Returns `sig-` and 22 characters: a keyed name of (institution, reference), which reveals nothing and never changes,
    whatever key makes tokens."""
    return "sig-" + tokenizer.lasting("signal", institution, reference)


def _order(mention: Indicator | Mention) -> tuple[bool, int, str]:
    return (mention.role != "suspect", RANK[mention.kind], mention.value)


def _rank(subject: Subject) -> tuple[bool, bool, bool]:
    """A stable order: matched suspects, unmatched ones, listed hubs, then victims likewise. Neither a hub nor an unmatched
    suspect becomes the primary subject if there is another suspect."""
    return (subject.role != "suspect", subject.hub is not None, subject.unmatched is not None)


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
    hubs: Hubs = NO_HUBS,
) -> SubmittedSignal:
    """Returns the signal as it travels. `reference` is the sender's or its Idempotency-Key; `contact` belongs to a tip; `listed`
    and `hubs` are the policy's placeholders and hubs. The body's name depends on neither list, because they change."""
    name = signal_id(tokenizer, institution, reference)
    named = sorted(mentions(body.indicators, body.event), key=_order)
    contents = [tokenizer.token(mention.kind, mention.value) for mention in named]
    plain = [_matched_token(mention, token, tokenizer) for mention, token in zip(named, contents, strict=True)]
    amount = body.at_stake()
    more = _more(body, tokenizer)
    content = "|".join(
        (
            body.kind,
            body.occurred_at.isoformat(),
            body.region,
            f"{amount.minor}{amount.currency}" if amount else "",
            *(f"{mention.role}{token}" for mention, token in zip(named, contents, strict=True)),
            *_later_fields(more, body, named, contents),
        )
    )
    content_id = tokenizer.token("content", institution, content).partition(".")[2]
    body_id = _body_id(body, content_id, contact, tokenizer)
    subjects = _subjects(named, plain, listed, hubs, name, content_id, tokenizer, sealer)
    content_id = _matched_content(content_id, plain, subjects, tokenizer)
    if body.event is not None:
        more["event"] = _event(body, name, subjects, sealer)
    return SubmittedSignal.trusted(
        signal_id=name,
        institution=institution,
        reference_sealed=sealer.seal(reference, f"{name}/reference"),
        kind=body.kind,
        occurred_at=body.occurred_at,
        region=body.region,
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else None,
        subjects=tuple(subjects),
        narrative_sealed=sealer.seal(body.narrative, f"{name}/narrative") if body.narrative else None,
        content_id=content_id,
        body_id=body_id,
        detected_at=body.detected_at,
        version=body.version,
        **more,
        **_whose(name, trust, contact, sealer),
    )


def _matched_token(mention: Indicator | Mention, own_token: str, tokenizer: Tokenizer) -> str:
    """What `tokenizer.subject` gives. A token costs as much as sealing, so the one of the own kind is not made again."""
    return own_token if MATCHED_AS[mention.kind] == mention.kind else tokenizer.subject(mention.kind, mention.value)


def _matched_content(content_id: str, plain: Sequence[str], subjects: Sequence[Subject], tokenizer: Tokenizer) -> str:
    """The name of a content as it is matched. `plain` are the tokens that no list has changed. Where a list or a placeholder has
    changed what its subjects are, or which is the first, it is another one: the same content may stand in another partition by
    another list, and one must not take away what the other added."""
    if [subject.token for subject in subjects[: len(plain)]] == plain and not any(subject.hub for subject in subjects):
        return content_id
    matched = (subject.token + ("!" if subject.hub else "") for subject in subjects)
    return tokenizer.token("content", content_id, *matched).partition(".")[2]


def _subjects(
    named: Sequence[Indicator | Mention],
    plain: Sequence[str],
    listed: Placeholders,
    hubs: Hubs,
    name: str,
    content_id: str,
    tokenizer: Tokenizer,
    sealer: Sealer,
) -> list[Subject]:
    """What is named, `plain` its tokens, in the order of `_rank`, and behind it what is derived from that. An unmatched thing has
    a token made of the content: it is no other signal's, but a re-send's, which is found by it. Nothing is derived from it."""
    subjects, is_plain, derived = [], True, dict[Derived, None]()
    for mention, token in zip(named, plain, strict=True):
        unmatched = unmatched_as(mention.kind, mention.value, listed)
        hub = hubs.mark_of(mention.kind, mention.value) if unmatched is None else None
        is_plain &= unmatched is None and hub is None
        if unmatched is not None:
            token = tokenizer.token("unmatched", content_id, mention.kind, mention.role, mention.event_role or "", mention.value)
        elif mention.role == "suspect":
            derived |= dict.fromkeys(derive(mention.kind, mention.value))
        sealed = sealer.seal(mention.value, f"{name}/{token}")
        more: dict[str, Any] = {"unmatched": unmatched, "hub": hub}
        subjects.append(
            Subject.trusted(
                kind=mention.kind, role=mention.role, token=token, sealed=sealed, event_role=mention.event_role, **more
            )
        )
    if not is_plain:
        subjects.sort(key=_rank)
    if derived:
        subjects += _derived(derived, {subject.token for subject in subjects}, listed, hubs, name, tokenizer, sealer)
    return subjects


def _derived(
    things: Iterable[Derived], named: set[str], listed: Placeholders, hubs: Hubs, name: str, tokenizer: Tokenizer, sealer: Sealer
) -> list[Subject]:
    """Returns what the suspects imply, each once, after everything that the sender named. It is not part of the content."""
    subjects: dict[str, Subject] = {}
    for kind, value in things:
        if is_placeholder(kind, value) or unmatched_as(kind, value, listed):
            continue
        token = tokenizer.subject(kind, value)
        if token not in named and token not in subjects and len(subjects) < MAX_DERIVED:
            sealed, hub = sealer.seal(value, f"{name}/{token}"), hubs.mark_of(kind, value)
            subjects[token] = Subject.trusted(kind=kind, role="suspect", token=token, sealed=sealed, hub=hub, derived=True)
    return list(subjects.values())


def _whose(name: str, trust: Trust | None, contact: str | None, sealer: Sealer) -> dict[str, Any]:
    fields: dict[str, Any] = {} if trust is None else {"trust": trust}
    return fields | ({"contact_sealed": sealer.seal(contact, f"{name}/contact")} if contact else {})


def _more(body: SignalIn, tokenizer: Tokenizer) -> dict[str, Any]:
    """Returns the later members without the event, only those present. They count, so they are part of the content."""
    fields: dict[str, Any] = {}
    if body.typology is not None:
        fields["typology"] = body.typology
    if body.stage is not None:
        fields["stage"] = body.stage
    if body.loss is not None:
        fields["loss_minor"], fields["loss_currency"] = body.loss.minor, body.loss.currency
    if body.derived_from is not None:
        institution, slash, reference = body.derived_from.partition("/")
        fields["derived_from"] = signal_id(tokenizer, institution, reference) if slash else institution
    return fields


def _event(body: SignalIn, name: str, subjects: list[Subject], sealer: Sealer) -> EventFact:
    event = body.event
    assert event is not None
    fields = event.plain() | {subject.event_role: subject.token for subject in subjects if subject.event_role is not None}
    shown = getattr(event, "name", None)
    if shown is not None:
        fields["name_sealed"] = sealer.seal(shown, f"{name}/event.name")
    return EventFact.trusted(type=event.type, at=event.at or body.occurred_at, **fields)


def _later_fields(
    more: dict[str, Any], body: SignalIn, named: Sequence[Indicator | Mention], contents: Sequence[str]
) -> tuple[str, ...]:
    """The later members as part of the content. Sealed bytes differ each time, so the readable text is used."""
    event = body.event
    if event is None:
        return (json.dumps(more, sort_keys=True, default=datetime.isoformat),) if more else ()
    ends: dict[str, Any] = {
        mention.event_role: token for mention, token in zip(named, contents, strict=True) if mention.event_role is not None
    }
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
