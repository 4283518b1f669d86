"""The services of the routes, built over any ports.

Invariant: a sender's fault is 4xx, a neighbour's 503, and only our own 500. No service knows the routes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.adapters.idempotency import Idempotency, StateUnavailable
from gateway.adapters.kafka import LogUnavailable, RequestLog
from gateway.adapters.stage_lag import Lag, NotCaughtUp, WaitUntilCaughtUp, nothing_is_lost
from gateway.commands.admission import RetractionAdmission, SignalAdmission
from gateway.commands.case_commands import CaseCommands
from gateway.commands.oversight_commands import OversightCommands
from gateway.commands.submit import Submitter
from gateway.http.call import Service
from gateway.http.caller import Caller
from gateway.http.problems import Problem, count_problem, later, unwound
from gateway.inbox.service import InboxService
from gateway.inbox.waiters import InboxNotifier, MakeNews, NoNews
from gateway.live.hub import Hub
from gateway.live.source import MakeSource, no_source
from gateway.ops.exporter import Exporter
from gateway.ops.readiness import Readiness
from gateway.rendering.cases import case_out
from gateway.rendering.queues import QueueOut, by_queue
from gateway.scorecards.service import ScorecardService
from gateway.security.auth import Authenticator
from gateway.security.jwks import KeySource
from gateway.security.rate_limits import Rates
from gateway.security.scrape_token import ScrapeToken
from gateway.settings import GatewaySettings
from gateway.signals.batch_turns import Turns
from gateway.signals.parsing import SignalParser
from gateway.tips.service import TipService
from gateway.webhooks.service import WebhookService
from schemas.cases.case import Case
from schemas.policy import Policy
from schemas.security import AesGcmSealer, Keyring, PlaceCipher, Sealer, Tokenizer
from stream_processors.views.api import Views
from stream_processors.views.reading import Rebuilding
from stream_processors.webhooks.http_client import Resolve, SystemResolver
from stream_processors.webhooks.policy import load_hooks

logger = logging.getLogger("liandong.gateway")


@dataclass
class Services:
    """The services that the routes use. Built by `services`; tests pass fakes."""

    settings: GatewaySettings
    auth: Authenticator
    log: RequestLog
    memory: Idempotency
    views: Views
    lag: Lag
    tokenizer: Tokenizer
    sealer: Sealer
    places: PlaceCipher
    rates: Rates
    source: MakeSource = no_source
    news: MakeNews = NoNews
    resolve: Resolve = field(default_factory=SystemResolver)
    caught_up: WaitUntilCaughtUp = nothing_is_lost

    def __post_init__(self) -> None:
        settings = self.settings
        self.policy = settings.policy()
        self.scrape_token = ScrapeToken(settings.scrape_token_path)
        self.intake = SignalParser(
            self.tokenizer,
            self.sealer,
            settings.json_depth_limit,
            placeholders=lambda: self.policy.placeholders,
            hubs=lambda: self.policy.hubs,
        )
        submitter = Submitter(self.log, settings.outcome_wait_s, settings.retry_after_s)
        self.case_commands = CaseCommands(submitter, self.memory, self.views, self.tokenizer, self.caught_up)
        self.oversight_commands = OversightCommands(submitter, self.memory, self.views, self.tokenizer)
        self.cards = ScorecardService(
            self.views,
            threshold=settings.scorecards_threshold,
            period=settings.scorecards_period,
            kept_s=settings.scorecards_kept_s,
        )
        self.readiness = Readiness(self.log, self.memory, self.views)
        self.exporter = Exporter(self.views, settings.metrics_labels_limit, self.cards, settings.scorecards_metrics_parties)
        self.admission = SignalAdmission(self.log, self.memory, self.lag, settings, self.places)
        self.retraction_admission = RetractionAdmission(self.log, self.memory, self.lag, settings, self.places)
        self.turns = Turns()
        self.tips = TipService(
            settings,
            self.policy,
            admission=self.admission,
            memory=self.memory,
            views=self.views,
            rates=self.rates,
            tokenizer=self.tokenizer,
            sealer=self.sealer,
        )
        self.inbox_notifier = InboxNotifier(settings, self.news)
        self.inbox = InboxService(submitter, self.views, self.tokenizer, self.inbox_notifier, self.rates)
        self.webhooks = WebhookService(
            submitter,
            self.views,
            self.sealer,
            self.rates,
            load_hooks(settings.webhooks_file),
            self.resolve,
            changes_an_hour=settings.webhook_changes_an_hour,
        )
        self.live = Hub(settings, self.source, self._count_queues, self._render_case, self.tokenizer)
        self._names = {type(service): name for name, service in vars(self).items()}

    def find_service(self, kind: type[Service]) -> Service:
        """The one service of exactly this class."""
        service = getattr(self, self._names[kind])
        assert isinstance(service, kind)
        return service

    async def authenticate(self, header: str | None) -> Caller:
        """The caller of an Authorization header, or Problem 401."""
        return await self.auth.caller(header)

    def is_scraper(self, header: str | None) -> bool:
        """Whether the header holds the scrape token."""
        return self.scrape_token.matches(header)

    def take_policy(self, policy: Policy) -> None:
        """Uses another policy from the next request on."""
        self.policy = self.tips.policy = policy

    def drain(self) -> None:
        """Ends the open streams."""
        self.live.drain()
        self.inbox_notifier.drain()

    async def close(self) -> None:
        await self.live.close()
        await self.inbox_notifier.close()

    async def _count_queues(self, mine: Callable[[str], bool]) -> list[QueueOut]:
        return by_queue(await self.views.standings(), mine)

    def _render_case(self, case: Case) -> bytes:
        return case_out(case, self.sealer, datetime.now(UTC), complete=False).model_dump_json(exclude_none=True).encode()

    def problem_of(self, error: Exception) -> Problem:
        """Returns the problem for an exception, and counts it."""
        problem = error if isinstance(error, Problem) else _problem_of(error, self.settings.retry_after_s)
        count_problem(problem.kind.slug, problem.kind.status)
        unwound(error)
        return problem


def _problem_of(error: Exception, retry_after_s: int) -> Problem:
    if isinstance(error, HTTPException):
        slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "invalid-request")
        detail = "no resource has this path" if slug == "not-found" else str(error.detail)
        return Problem(slug, detail, headers=error.headers)
    if isinstance(error, Rebuilding):
        return later("views-rebuilding", "the views are being rebuilt from the log", retry_after_s)
    if isinstance(error, NotCaughtUp):
        return later("views-rebuilding", str(error), retry_after_s)
    if isinstance(error, LogUnavailable):
        return later("log-unavailable", "the broker does not answer", retry_after_s)
    if isinstance(error, (StateUnavailable, RedisError)):
        return later("state-unavailable", "the state store does not respond", retry_after_s)
    if isinstance(error, UnicodeEncodeError):  # of a text that a body brought: nothing else here is encoded
        return Problem("invalid-request", "a text contains an unpaired surrogate and is not valid UTF-8", errors=[])
    if isinstance(error, ClientDisconnect):
        return Problem("invalid-request", "the request ended before its body was complete", errors=[])
    logger.error("unexpected", exc_info=error)
    return Problem("internal", "send the same request with the same reference again; nothing counts twice")


def services(settings: GatewaySettings, *, keyring: Keyring, **ports: Any) -> Services:
    """Returns the services over any ports, which are named as in Services."""
    keys = KeySource(settings.jwks_source, refresh_s=settings.jwks_refresh_s, unknown_key_s=settings.jwks_unknown_key_s)
    return Services(
        settings=settings,
        auth=Authenticator(settings, keys),
        tokenizer=Tokenizer(keyring),
        sealer=AesGcmSealer(keyring),
        places=PlaceCipher(keyring),
        **ports,
    )
