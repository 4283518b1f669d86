"""`python -m gateway`: runs the gateway on uvicorn at the configured address. SIGTERM drains requests in progress."""

from __future__ import annotations

import gc
import logging
import sys

import uvicorn

from gateway.app import create_app
from gateway.security.jwks import UnsafeKeys
from gateway.server.connection_limits import Server, limited
from gateway.server.fd_limit import room
from gateway.settings import GatewaySettings


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    settings = GatewaySettings()
    gc.disable()  # what is built here stays: to look through it again and again is a tenth of the start
    try:
        app = create_app(settings)
    except UnsafeKeys as error:
        logging.getLogger("liandong.gateway").error("gateway did not start: %s", error)
        sys.exit(2)

    config = uvicorn.Config(
        app,
        host=settings.gateway_host,
        port=settings.gateway_port,
        loop="uvloop",
        http=limited(settings, room(settings.connections_limit)),
        ws="none",
        proxy_headers=False,  # whose word is taken is a setting of ours (gateway/security/client_address.py)
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_s,
        backlog=2048,
    )
    server = Server(config, before_drain=app.drain)
    server.run()
    if not server.started:
        sys.exit(3)


if __name__ == "__main__":
    main()
