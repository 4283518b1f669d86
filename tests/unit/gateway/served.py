"""The gateway's app served on a port with the protocol of production."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from gateway.server.connection_limits import limited
from gateway.settings import GatewaySettings


@contextlib.asynccontextmanager
async def served(app: Any, **settings: Any) -> AsyncIterator[int]:
    """The port. `settings`: those of connections."""
    http = limited(GatewaySettings(jwks=None, **settings))
    config = uvicorn.Config(app, port=0, http=http, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())  # `serve` would take the signals of the test's process
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  (the server sets a plain attribute)
            await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving
