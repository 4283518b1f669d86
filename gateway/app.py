"""The gateway's wiring in one place: ports, routes, errors, start and end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.adapters.idempotency import Idempotency
from gateway.adapters.kafka import RequestLog
from gateway.adapters.policy_watch import follow_policy
from gateway.adapters.redis import Pipelining
from gateway.adapters.stage_lag import CaughtUp, Lag, watch
from gateway.appeals import routes as appeals
from gateway.cases import routes as cases
from gateway.dissuasion import routes as dissuasions
from gateway.http import docs_page as docs
from gateway.http.endpoint import Endpoint, GatewayApp, mount
from gateway.inbox import routes as inbox
from gateway.inbox.waiters import RedisNews
from gateway.live import routes as live
from gateway.live.source import KafkaSource
from gateway.measures import routes as measures
from gateway.money_trail import routes as trails
from gateway.ops import routes as ops
from gateway.orders import routes as orders
from gateway.oversight import campaign_routes as campaigns
from gateway.oversight import routes as oversight
from gateway.queues import routes as queues
from gateway.scorecards import routes as scorecards
from gateway.search import routes as search
from gateway.security.jwks import check_keys
from gateway.security.rate_limits import RedisRates
from gateway.services import Services, services
from gateway.settings import GatewaySettings
from gateway.signals import retraction_routes as retractions
from gateway.signals import routes as signals
from gateway.tips import routes as tips
from gateway.webhooks import routes as webhooks
from stream_processors.runtime.policy_file import PolicyFile
from stream_processors.views.api import Views
from stream_processors.webhooks.policy import load_hooks

logger = logging.getLogger("liandong.gateway")

_ROUTES = (
    *(signals, retractions, measures, queues, live, cases, orders, dissuasions, appeals, search, inbox, webhooks, trails, tips),
    *(scorecards, oversight, campaigns, ops, docs),
)
ENDPOINTS: list[Endpoint] = [endpoint for module in _ROUTES for endpoint in module.ENDPOINTS]


def connect_redis(settings: GatewaySettings) -> Redis:
    """Returns a client that may reconnect silently: its state fails safe, and views check their stamps."""
    return Redis.from_url(
        settings.redis_url,
        protocol=2,
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        retry=Retry(ConstantBackoff(0.02), 1),
        max_connections=128,
    )


def create_app(settings: GatewaySettings) -> GatewayApp:
    """Returns the app over real Kafka and Redis. UnsafeKeys if its keys must not be trusted on its address."""
    check_keys(settings)
    common: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap.split(","),
        "client_id": settings.gateway_id,
        **settings.kafka_auth(),
    }
    if loosened := load_hooks(settings.webhooks_file).loosened():
        logger.warning("WEBHOOK ADDRESS CHECKS ARE RELAXED: %s may be registered, by %s", loosened, settings.webhooks_file)
    redis = connect_redis(settings)
    log = RequestLog(common, settings.append_timeout_s)
    pipelining = Pipelining(redis)
    memory = Idempotency(pipelining, lock_ttl_s=settings.lock_ttl_s, receipt_ttl_s=settings.receipt_ttl_s)
    built = services(
        settings,
        keyring=settings.keyring(),
        log=log,
        memory=memory,
        views=Views(redis),
        lag=Lag(),
        rates=RedisRates(pipelining),
        source=lambda: KafkaSource(common, redis, lambda: log.generations),
        news=lambda: RedisNews(redis),
        caught_up=CaughtUp(log, redis, wait_s=settings.outcome_wait_s),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await log.open()
        gc.freeze()  # what was built stays; without its objects a collection is short
        gc.set_threshold(50_000, 20, 50)
        gc.enable()
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


def create_app_over(built: Services, lifespan: Any = None) -> GatewayApp:
    """Returns the app over these services."""
    app = GatewayApp(title="Liandong", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan)
    mount(app, ENDPOINTS, built)
    app.state.interface = docs.Interface(ENDPOINTS)
    app.drain = built.drain

    async def answer(request: Request, error: Exception) -> Response:
        return built.problem_of(error).response()

    app.add_exception_handler(HTTPException, answer)
    app.add_exception_handler(Exception, answer)
    return app
