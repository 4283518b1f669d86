"""The gateway's wiring, in one place: ports, services, routes, errors, start and end.

Invariant: whatever a sender does is answered 4xx; what our neighbours do is 503; only a fault of ours is 500.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.adapters.idempotency import Idempotency, RedisIdempotency, StateUnavailable
from gateway.adapters.kafka import KafkaLog, Log
from gateway.adapters.policy_watch import follow_policy
from gateway.adapters.redis import Pipelining
from gateway.adapters.stage_lag import CaughtUp, Lag, nothing_is_lost, watch
from gateway.appeals import routes as objections
from gateway.cases import routes as cases
from gateway.cases.responses import QueueOut, case_out
from gateway.commands.case_commands import Desk
from gateway.commands.oversight_commands import Bureau
from gateway.dissuasion import routes as tasks
from gateway.http import docs_page as docs
from gateway.http.endpoint import Endpoint, Gateway, mount
from gateway.inbox import routes as inbox
from gateway.inbox.service import InboxDesk
from gateway.inbox.waiters import Bell, MakeNews, NoNews, RedisNews
from gateway.live import routes as live
from gateway.live.hub import Hub
from gateway.live.source import KafkaSource, MakeSource, no_source
from gateway.measures import routes as measures
from gateway.metrics import count_problem
from gateway.money_trail import routes as trails
from gateway.ops import routes as ops
from gateway.ops.exporter import Exporter
from gateway.orders import routes as orders
from gateway.oversight import campaign_routes as campaigns
from gateway.oversight import routes as oversight
from gateway.problems import Problem, later, unwound
from gateway.queues import routes as queues
from gateway.scorecards import routes as scorecards
from gateway.scorecards.service import Cards
from gateway.search import routes as search
from gateway.security.auth import Authenticator
from gateway.security.jwks import KeySource, check_keys
from gateway.security.rate_limits import Rates, RedisRates
from gateway.security.scrape_token import ScrapeToken
from gateway.settings import GatewaySettings
from gateway.signals import retraction_routes as retractions
from gateway.signals import routes as signals
from gateway.signals.admission import Acceptor
from gateway.signals.batch_turns import Turns
from gateway.signals.parsing import Intake
from gateway.tips import routes as tips
from gateway.tips.service import Tips
from gateway.webhooks import routes as webhooks
from gateway.webhooks.service import HookDesk
from schemas.cases.case import Case
from schemas.policy import Policy
from schemas.security import AesGcmSealer, Keyring, PlaceCipher, Sealer, Tokenizer
from schemas.topics import RETRACTIONS
from stream_processors.runtime.policy_file import PolicyFile
from stream_processors.views.api import Rebuilding, RedisViews, Views
from stream_processors.webhooks.http_client import Resolve, SystemResolver

logger = logging.getLogger("liandong.gateway")

_ROUTES = (
    *(signals, retractions, measures, queues, live, cases, orders, tasks, objections, search, inbox, webhooks, trails, tips),
    *(scorecards, oversight, campaigns, ops, docs),
)
ENDPOINTS: list[Endpoint] = [endpoint for module in _ROUTES for endpoint in module.ENDPOINTS]


@dataclass
class Services:
    """What the routes use. Built by `services`; tests give it fakes."""

    settings: GatewaySettings
    auth: Authenticator
    log: Log
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
    caught_up: Callable[[], Awaitable[None]] = nothing_is_lost
    endpoints: list[Endpoint] = field(default_factory=lambda: ENDPOINTS)

    def __post_init__(self) -> None:
        settings = self.settings
        self.policy = settings.policy()
        self.scrape_token = ScrapeToken(settings.scrape_token_path)
        self.interface = docs.Interface(self.endpoints)
        self.intake = Intake(
            self.tokenizer,
            self.sealer,
            settings.json_depth_limit,
            placeholders=lambda: self.policy.placeholders,
            hubs=lambda: self.policy.hubs,
        )
        self.bureau = Bureau(
            self.log,
            self.memory,
            self.views,
            self.tokenizer,
            wait_s=settings.outcome_wait_s,
            retry_after_s=settings.retry_after_s,
        )
        self.cards = Cards(
            self.views,
            threshold=settings.scorecards_threshold,
            period=settings.scorecards_period,
            kept_s=settings.scorecards_kept_s,
        )
        self.exporter = Exporter(self.views, settings.metrics_labels_limit, self.cards, settings.scorecards_metrics_parties)
        self.acceptor = Acceptor(self.log, self.memory, self.lag, settings, self.places)
        self.turns = Turns()
        self.withdrawer = Acceptor(self.log, self.memory, self.lag, settings, self.places, RETRACTIONS)
        self.tips = Tips(
            settings,
            self.policy,
            acceptor=self.acceptor,
            memory=self.memory,
            views=self.views,
            rates=self.rates,
            tokenizer=self.tokenizer,
            sealer=self.sealer,
        )
        self.bell = Bell(settings, self.news)
        self.inboxes = InboxDesk(self.log, self.views, self.tokenizer, self.bell, retry_after_s=settings.retry_after_s)
        self.hooks = HookDesk(
            self.log,
            self.views,
            self.sealer,
            self.rates,
            settings.hooks(),
            self.resolve,
            wait_s=settings.outcome_wait_s,
            retry_after_s=settings.retry_after_s,
            changes_an_hour=settings.webhook_changes_an_hour,
        )
        self.live = Hub(settings, self.source, self._count, self._render)
        self.desk = Desk(
            self.log,
            self.memory,
            self.views,
            self.tokenizer,
            wait_s=settings.outcome_wait_s,
            retry_after_s=settings.retry_after_s,
        )

    def take_policy(self, policy: Policy) -> None:
        """Goes by another policy from the next request on."""
        self.policy = self.tips.policy = policy

    def drain(self) -> None:
        """Ends the answers that have no end of their own."""
        self.live.drain()
        self.bell.drain()

    async def close(self) -> None:
        await self.live.close()
        await self.bell.close()

    async def _count(self, mine: Callable[[str], bool]) -> list[QueueOut]:
        return queues.by_queue(await self.views.standings(), mine)

    def _render(self, case: Case) -> bytes:
        return case_out(case, self.sealer, datetime.now(UTC), whole=False).model_dump_json(exclude_none=True).encode()

    def problem_of(self, error: Exception) -> Problem:
        """What an exception is answered as; counted."""
        problem = error if isinstance(error, Problem) else _problem_of(error, self.settings.retry_after_s)
        count_problem(problem.kind.slug, problem.kind.status)
        unwound(error)
        return problem


def _problem_of(error: Exception, retry_after_s: int) -> Problem:
    if isinstance(error, HTTPException):
        slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "invalid-request")
        detail = "there is nothing here" if slug == "not-found" else str(error.detail)
        return Problem(slug, detail, headers=error.headers)
    if isinstance(error, Rebuilding):
        return later("rebuilding", "the views are being folded from the log", retry_after_s)
    if isinstance(error, (StateUnavailable, RedisError)):
        return later("state-unavailable", "Redis does not answer", retry_after_s)
    if isinstance(error, ClientDisconnect):
        return Problem("invalid-request", "the request ended early", errors=[])
    logger.error("unexpected", exc_info=error)
    return Problem("internal", "send the same request with the same reference again: nothing counts twice")


def services(
    settings: GatewaySettings,
    *,
    keyring: Keyring,
    log: Log,
    memory: Idempotency,
    views: Views,
    lag: Lag,
    rates: Rates,
    source: MakeSource = no_source,
    news: MakeNews = NoNews,
    resolve: Resolve | None = None,
    caught_up: Callable[[], Awaitable[None]] = nothing_is_lost,
) -> Services:
    """The services over any ports."""
    keys = KeySource(settings.jwks_source, refresh_s=settings.jwks_refresh_s, unknown_key_s=settings.jwks_unknown_key_s)
    auth, places = Authenticator(settings, keys), PlaceCipher(keyring)
    tokenizer, sealer = Tokenizer(keyring), AesGcmSealer(keyring)
    names = resolve or SystemResolver()
    return Services(settings, auth, log, memory, views, lag, tokenizer, sealer, places, rates, source, news, names, caught_up)


def connect_redis(settings: GatewaySettings) -> Redis:
    """A client that may come back silently: everything the gateway keeps there fails safe, and views check their
    stamps."""
    return Redis.from_url(
        settings.redis_url,
        protocol=2,
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        retry=Retry(ConstantBackoff(0.02), 1),
        max_connections=128,
    )


def create_app(settings: GatewaySettings) -> Gateway:
    """The app over real Kafka and Redis. UnsafeKeys where its keys must not be trusted on its address."""
    check_keys(settings)
    common: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap.split(","),
        "client_id": settings.gateway_id,
        **settings.kafka_auth(),
    }
    if loosened := settings.hooks().loosened():
        logger.warning("WEBHOOKS ARE NOT GUARDED AS SHIPPED: %s may be registered, by %s", loosened, settings.webhooks_file)
    redis = connect_redis(settings)
    log = KafkaLog(common, settings.append_timeout_s)
    pipelining = Pipelining(redis)
    memory = RedisIdempotency(pipelining, lock_ttl_s=settings.lock_ttl_s, receipt_ttl_s=settings.receipt_ttl_s)
    built = services(
        settings,
        keyring=settings.keyring(),
        log=log,
        memory=memory,
        views=RedisViews(redis),
        lag=Lag(),
        rates=RedisRates(pipelining),
        source=lambda: KafkaSource(common, redis, lambda: log.generations),
        news=lambda: RedisNews(redis),
        caught_up=CaughtUp(log, redis, wait_s=settings.outcome_wait_s, retry_after_s=settings.retry_after_s),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await log.open()
        gc.freeze()  # what was built stays; without its objects a collection is short
        gc.set_threshold(50_000, 20, 50)
        watching = asyncio.create_task(watch(built.lag, log, redis))
        following = asyncio.create_task(follow_policy(PolicyFile(settings.policy_file), built.take_policy))
        try:
            yield
        finally:
            watching.cancel()
            following.cancel()
            await built.close()
            await log.close()
            await redis.aclose()

    return create_app_over(built, lifespan)


def create_app_over(built: Services, lifespan: Any = None) -> Gateway:
    """The app over these services."""
    app = Gateway(title="Liandong", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan)
    mount(app, built.endpoints, built)
    app.drain = built.drain

    async def answer(request: Request, error: Exception) -> Response:
        return built.problem_of(error).response()

    app.add_exception_handler(HTTPException, answer)
    app.add_exception_handler(Exception, answer)
    return app
