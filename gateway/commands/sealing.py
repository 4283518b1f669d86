"""Turns posted values into tokens for matching and sealed values for readers with a need.

Invariant: no readable subject, name, account or text leaves here. Contexts: of an order `order/token`, `order/name`,
`order/account`, `order/basis`, `order/text`, `order/answer`; of a dissuasion `dissuasion/token`, `dissuasion/attempt`; of a
measure `measure/note`, `measure/reference`; of an appeal `appeal/text` (the person's words), `appeal/notice`, `appeal/reasons`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from schemas.appeals import AppealMove, AppealRequest
from schemas.dissuasion import Attempt, AttemptIn, DissuasionDraft, DissuasionEvent, DissuasionEventKind, DissuasionIn, Way
from schemas.measures import BlockedIn, Measure, ReportedIn, WarnedIn
from schemas.orders.order import OrderDraft, OrderEvent, Verify
from schemas.orders.requests import ANSWERS, AnswerIn, OrderIn, VerifyIn
from schemas.security import Sealer, Tokenizer
from schemas.signals.subjects import Named, Role, Subject

_TEXTS = {AppealMove.FILE: "text", AppealMove.NOTICE: "notice"}
"""Contexts of the texts; all other actions give reasons."""


class Protector(NamedTuple):
    """`now` is a placeholder where the format requires a time; the log's time replaces it."""

    tokenizer: Tokenizer
    sealer: Sealer

    def _seal_text(self, text: str | None, context: str) -> str | None:
        return self.sealer.seal(text, context) if text is not None else None

    def subject(self, named: Named, owner: str, role: Role = "suspect") -> Subject:
        token = self.tokenizer.subject(named.kind, named.value)
        return Subject(kind=named.kind, role=role, token=token, sealed=self.sealer.seal(named.value, f"{owner}/{token}"))

    def measure(self, body: WarnedIn | BlockedIn | ReportedIn, name: str, institution: str, now: datetime) -> Measure:
        """`signal_id` may be set by a caller that knows it."""
        own: dict[str, Any] = {}
        if isinstance(body, WarnedIn):
            own = {"channel": body.channel, "reaction": body.reaction}
        elif isinstance(body, BlockedIn):
            own = {"target": body.target, "until": body.until}
            own |= {"amount_minor": body.amount.minor, "currency": body.amount.currency} if body.amount else {}
        else:
            own = {
                "reported_to": body.reported_to,
                "agency_reference_sealed": self._seal_text(body.agency_reference, f"{name}/reference"),
            }
        return Measure(
            measure_id=name,
            institution=institution,
            kind=body.kind,
            done_at=body.done_at,
            recorded_at=now,
            signal_id=body.signal_id,
            note_sealed=self._seal_text(body.note, f"{name}/note"),
            **own,
        )

    def draft(self, body: OrderIn, name: str, case_id: str, agency: str) -> OrderDraft:
        money = body.amount or (body.verify.amount if body.verify else None)
        return OrderDraft(
            order_id=name,
            kind=body.kind,
            case_id=case_id,
            agency=agency,
            recipient=body.recipient,
            subject=self.subject(body.subject, name) if body.subject else None,
            verify=self._build_verify(body.verify, name) if body.verify else None,
            amount_minor=body.amount.minor if body.amount else None,
            traced_minor=body.traced_minor,
            currency=money.currency if money else None,
            basis_sealed=self._seal_text(body.basis, f"{name}/basis"),
            answer_by=body.answer_by,
            related_order_id=body.related_order_id,
            text_sealed=self._seal_text(body.text, f"{name}/text"),
            method=body.method,
            public_notice_at=body.public_notice_at,
        )

    def _build_verify(self, body: VerifyIn, name: str) -> Verify:
        return Verify(
            name_sealed=self._seal_text(body.name, f"{name}/name"),
            account_sealed=self._seal_text(body.account, f"{name}/account"),
            amount_minor=body.amount.minor,
            occurred_at=body.occurred_at,
        )

    def answer(self, body: AnswerIn, name: str, action_id: str, unit: str | None = None) -> OrderEvent:
        return OrderEvent(
            event_id=action_id,
            order_id=name,
            kind=ANSWERS[body.result],
            unit=unit,
            text_sealed=self._seal_text(body.text, f"{name}/answer"),
            **body.model_dump(exclude={"result", "text"}),
        )

    def draft_dissuasion(self, body: DissuasionIn, name: str, case_id: str, agency: str, action_id: str) -> DissuasionEvent:
        person = self.subject(body.person, name, "victim")
        reach = tuple(party.model_dump() for party in body.reachable_by)
        draft = DissuasionDraft(dissuasion_id=name, case_id=case_id, agency=agency, person=person, reachable_by=reach)
        return DissuasionEvent(event_id=action_id, dissuasion_id=name, kind=DissuasionEventKind.ASK, draft=draft)

    def attempt(self, body: AttemptIn, name: str, party: str, way: Way, now: datetime, action_id: str) -> Attempt:
        context = f"{name}/{action_id}"
        return Attempt(
            attempt_id=action_id,
            party=party,
            party_type=way,
            channel=body.channel,
            at=now,
            done_at=body.done_at,
            result=body.result,
            caller_sealed=self._seal_text(body.caller, context),
            conversation_sealed=self._seal_text(body.conversation, context),
        )

    def appeal(
        self, move: AppealMove, name: str, case_id: str, party: str, action_id: str, text: str | None = None, **more: Any
    ) -> AppealRequest:
        return AppealRequest(
            request_id=action_id,
            appeal_id=name,
            case_id=case_id,
            action=move,
            party=party,
            text_sealed=self._seal_text(text, f"{name}/{_TEXTS.get(move, 'reasons')}"),
            **more,
        )
