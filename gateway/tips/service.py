"""Accepts a tip: limits, protection, the log; and returns its status, which is deliberately coarse.

Invariant: a receipt number is given only for a tip that the broker has, and a status reveals nothing about anybody else's
signals.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from starlette.requests import Request

from gateway.adapters.idempotency import Idempotency
from gateway.commands.admission import Prepared, SignalAdmission
from gateway.commands.submit import SOURCE
from gateway.http.problems import Problem, later, of_refused
from gateway.security import client_address as peers
from gateway.security.rate_limits import Group, Rate, Rates
from gateway.settings import GatewaySettings
from gateway.tips.number import issued, number_of, reference_of, signal_of
from gateway.tips.requests import TipIn
from schemas.cases.case import CaseStatus
from schemas.parsing import Refused
from schemas.policy import Policy
from schemas.security import Sealer, Tokenizer
from schemas.security.signal_reader import SignalReader
from schemas.signals.submission import PUBLIC
from stream_processors.runtime.log import KeyedEntry
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.views.api import Views

RECEIVED, EXAMINED, CLOSED = "received", "being_examined", "closed"


class Taken(NamedTuple):
    """`again`: it was accepted before under the same key."""

    number: str
    again: bool


class TipService:
    def __init__(
        self,
        settings: GatewaySettings,
        policy: Policy,
        *,
        admission: SignalAdmission,
        memory: Idempotency,
        views: Views,
        rates: Rates,
        tokenizer: Tokenizer,
        sealer: Sealer,
    ) -> None:
        self._settings, self.policy = settings, policy
        self._admission, self._memory, self._views, self._rates = admission, memory, views, rates
        self._tokenizer = tokenizer
        self._reader = SignalReader(tokenizer, sealer, settings.json_depth_limit, SOURCE)
        self._proxies = peers.networks(settings.trusted_proxies)

    async def may_try(self, request: Request) -> None:
        """429 for a sender of many requests of any kind, before any of the body is read."""
        limits = self._settings
        await self._check_rate("tries", request, Rate(limits.tip_tries_an_hour, 3600), Rate(limits.tip_tries_an_hour_all, 3600))

    async def may_look(self, request: Request) -> None:
        limits = self._settings
        await self._check_rate("looks", request, Rate(limits.tip_looks_a_minute, 60), Rate(limits.tip_looks_a_minute_all, 60))

    async def take(self, request: Request, tip: TipIn, key: str) -> Taken:
        """Problem if it cannot be accepted."""
        closed = self._admission.closed()
        if closed is not None:
            raise closed
        number = number_of(self._tokenizer, key)
        prepared = self._prepare_tip(tip, number, issued(key, datetime.now(UTC)))
        limits = self._settings
        await self._check_rate("tips", request, Rate(limits.tips_an_hour, 3600), Rate(limits.tips_an_hour_all, 3600))
        answer = (await self._admission.accept([prepared], PUBLIC))[0]
        if isinstance(answer, Problem):
            raise answer
        METRICS.tips.labels("again" if answer.replayed else "taken").inc()
        return Taken(number, answer.replayed)

    def _prepare_tip(self, tip: TipIn, number: str, issued: datetime | None) -> Prepared:
        now = datetime.now(UTC)
        if tip.occurred_at is None and issued is None:
            detail = "send occurred_at together with an Idempotency-Key, so that a retry is the same tip"
            raise Problem("invalid-request", detail, errors=[])
        try:
            signal = tip.signal(self.policy.city, issued or now)
            submission = self._reader.submission(
                signal,
                institution=PUBLIC,
                reference=reference_of(self._tokenizer, number),
                now=now,
                trust="low",
                contact=tip.contact,
                listed=self.policy.placeholders,
                hubs=self.policy.hubs,
            )
        except UnicodeEncodeError:
            raise Problem("invalid-request", "a text contains an unpaired surrogate and is not valid UTF-8", errors=[]) from None
        except Refused as refusal:
            raise of_refused(Refused("invalid-request", refusal.detail, refusal.faults)) from None
        return Prepared(
            submission.signal_id,
            submission.signal_id,
            submission.body_id,
            KeyedEntry(submission.key, submission.value),
            None,
            signal,
        )

    async def _check_rate(self, what: str, request: Request, address_rate: Rate, all_: Rate) -> None:
        """A network has a multiple of the allowance of one address, so that an owner of many addresses locks out nobody else."""
        now_ms = time.time_ns() // 1_000_000
        groups = [
            Group(peers.hashed(self._tokenizer, network, now_ms), address_rate._replace(burst=address_rate.burst * times))
            for network, times in peers.networks_of(request, self._proxies)
        ]
        wait_s = await self._rates.take_in_groups(what, groups, all_, reserve=all_)
        if wait_s > 0:
            METRICS.tips.labels("limited").inc()
            raise later("rate-limited", "too many tips from this address, its network, or all senders", math.ceil(wait_s))

    async def status(self, number: str) -> str:
        """`received` until it is assessed, then `being_examined`; `closed` when every case that it joined is disposed of, at the
        latest when its time is over. 404 for an unknown number."""
        name = signal_of(self._tokenizer, number)
        receipt = await self._views.receipt(name)
        if receipt is None:
            if await self._memory.find(name) is None:
                raise Problem("not-found", "there is no such receipt number")
            return RECEIVED
        if receipt.accepted_at + timedelta(days=self._settings.tip_closed_after_days) <= datetime.now(UTC):
            return CLOSED
        cases = [await self._views.case(case_id) for case_id in receipt.cases]
        ended = [case is None or case.status is CaseStatus.DISPOSED for case in cases]
        return CLOSED if ended and all(ended) else EXAMINED
