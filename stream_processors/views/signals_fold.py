"""What a fact of a signal makes of the views: receipts, outcomes, the way from an indicator to its cases, scorecards."""

from __future__ import annotations

from typing import cast

from schemas.codec import RowEnvelope
from schemas.signals.assessed import AssessedSignal, Outcome
from schemas.signals.retraction import name_of
from stream_processors.domain.scorecards import signal_leaves
from stream_processors.state.case_refs import member_of
from stream_processors.state.effects import Effect, count, link, put, put_newer
from stream_processors.state.keys import bucket_of
from stream_processors.state.record_views import ReceiptRow
from stream_processors.views.receipts import receipt_json, withdrawal_json
from stream_processors.views.scorecards import tallies


def project_assessed(envelope: RowEnvelope[ReceiptRow]) -> list[Effect]:
    """A receipt for a signal that counts, re-sends or came dead; its newest retraction; its indicators' way to its cases; a
    counter for every outcome; what it adds to the scorecards."""
    fact = envelope.data
    who = fact.institution or "unknown"
    effects = [count(bucket_of(who), "n", f"{fact.outcome.value}:{who}")]
    effects += tallies(signal_leaves(cast("AssessedSignal", fact)))
    if fact.signal_id is None:
        return effects
    bucket, until = bucket_of(fact.signal_id), fact.cases_until_ms
    if fact.outcome in (Outcome.ASSESSED, Outcome.RESEND, Outcome.RETRACTED):
        name = name_of(fact.signal_id, fact.version)
        effects.append(put(bucket, f"r:{name}", receipt_json(fact, envelope.time), until))
    if fact.outcome in (Outcome.RETRACTION, Outcome.CORRECTION):
        effects.append(put_newer(bucket, f"x:{fact.signal_id}", fact.below, withdrawal_json(fact), until))
    return effects + index_effects(fact)


def index_effects(fact: ReceiptRow) -> list[Effect]:
    """Every indicator of a routed signal, victims' too, leads to the cases that it joined. So it does when the signal is
    taken back: others may have named it, too."""
    return [
        link(bucket_of(subject.token), f"t:{subject.token}", member_of(route.case_id, route.queue), fact.cases_until_ms)
        for route in fact.routes
        for subject in fact.subjects
    ]
