"""From the body an institution sent to the protected signal that enters the log. Pure but for the sealing nonce.

Invariant: the same institution and reference give the same signal id, on any gateway, after any loss of Redis.
"""

from __future__ import annotations

from schemas.indicators import RANK
from schemas.protect.sealing import Sealer
from schemas.protect.tokens import Tokenizer
from schemas.signals import Indicator, SignalIn, Subject, SubmittedSignal


def signal_id(tokenizer: Tokenizer, institution: str, reference: str) -> str:
    """`sig-` and 22 characters: a keyed name of (institution, reference), so it tells nothing and never changes."""
    return "sig-" + tokenizer.token("signal", institution, reference).partition(".")[2]


def _order(indicator: Indicator) -> tuple[int, int, str]:
    return (indicator.role != "suspect", RANK[indicator.kind], indicator.value)


def protect(body: SignalIn, *, institution: str, reference: str, tokenizer: Tokenizer, sealer: Sealer) -> SubmittedSignal:
    """The signal as it travels. `reference` is the sender's own or its Idempotency-Key."""
    name = signal_id(tokenizer, institution, reference)
    subjects = []
    for indicator in sorted(body.indicators, key=_order):
        token = tokenizer.token(indicator.kind, indicator.value)
        subjects.append(
            Subject.trusted(
                kind=indicator.kind,
                role=indicator.role,
                token=token,
                sealed=sealer.seal(indicator.value, f"{name}/{token}"),
            )
        )
    amount = body.amount
    content = "|".join(
        (
            body.kind,
            body.occurred_at.isoformat(),
            body.region,
            f"{amount.minor}{amount.currency}" if amount else "",
            *(f"{subject.role}{subject.token}" for subject in subjects),
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
        body_id=tokenizer.token("body", content_id, body.narrative or "").partition(".")[2],
    )
