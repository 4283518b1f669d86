"""`liandong webhook listen`: an endpoint on this machine that verifies and prints calls, for tests and demos.

Invariant: it listens on loopback only, verifies before it reads, and responds only as configured.
"""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated

import typer

from deploy.local.ports import LOCALHOST

MOST_BYTES = 1 << 20
Say = Callable[[str], None]


def register(app: typer.Typer) -> None:
    """Adds `liandong webhook`."""
    webhook = typer.Typer(help="Test webhooks on this machine.", no_args_is_help=True)
    app.add_typer(webhook, name="webhook")

    @webhook.command("listen")
    def listen(
        secret: Annotated[list[str], typer.Option(help="Signing secret (whsec_…). Repeat it while a secret is being replaced.")],
        port: Annotated[int, typer.Option(help="Port on 127.0.0.1, which the webhooks file must allow.")] = 8443,
        status: Annotated[int, typer.Option(help="Response status: 503 causes retries, 410 ends delivery.")] = 200,
    ) -> None:
        """Verify calls and print them; a repeat has a known webhook-id. A gateway calls this address only with
        LIANDONG_WEBHOOKS_FILE (docs/guide/webhooks.md)."""
        server = serve(port, secret, status, typer.echo)
        typer.echo(f"listening on http://{LOCALHOST}:{server.server_address[1]}/")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            server.server_close()

    @webhook.callback()
    def _describe_group() -> None:
        """Webhooks."""


def serve(port: int, secrets: list[str], status: int, say: Say) -> ThreadingHTTPServer:
    """Returns a bound server that does not run yet. `status` answers a valid message, 401 any other."""
    from connectors.client.webhook import BadWebhook, verify_webhook

    seen_ids: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = self.headers.get("content-length", "")
            if not size.isdigit() or int(size) > MOST_BYTES:
                self._send_answer(413)
                return
            body = self.rfile.read(int(size))
            try:
                message = verify_webhook(secrets, dict(self.headers.items()), body)
            except BadWebhook as error:
                say(f"refused: {error}")
                self._send_answer(401)
                return
            again = "again " if message.id in seen_ids else ""
            if status < 300:
                seen_ids.add(message.id)
            say(f"{again}{message.id} {message.type}: {message.data.get('en')} [{message.data.get('notification_id')}]")
            self._send_answer(status)

        def _send_answer(self, code: int) -> None:
            self.send_response(code)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    return ThreadingHTTPServer((LOCALHOST, port), Handler)
