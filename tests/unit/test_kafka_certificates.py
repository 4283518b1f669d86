"""A client certificate for Kafka: shown where a broker asks for one, by the workers, the gateway and the launcher."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from deploy.local.topics import client_options
from stream_processors.runtime.settings import Settings
from tests.unit.webhooks.server import Authority


async def _shown(context: ssl.SSLContext, authority: Authority) -> bool:
    """Whether a server that wants a certificate gets one that it believes."""
    server_context = authority.server("127.0.0.1")
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(authority.cafile)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_context)
    try:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        found = await reader.read(2)
        writer.close()
        return found == b"ok"
    except (ssl.SSLError, ConnectionError):
        return False
    finally:
        server.close()


async def test_a_broker_that_asks_for_a_certificate_gets_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    authority.server("liandong-assess")
    (tmp_path / "own.pem").write_bytes((tmp_path / "leaf.pem").read_bytes())
    settings = Settings(kafka_security_protocol="SSL", kafka_ssl_cafile=authority.cafile, kafka_ssl_certfile=tmp_path / "own.pem")
    assert await _shown(settings.kafka_auth()["ssl_context"], authority)
    monkeypatch.setenv("LIANDONG_KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("LIANDONG_KAFKA_SSL_CAFILE", str(authority.cafile))
    monkeypatch.setenv("LIANDONG_KAFKA_SSL_CERTFILE", str(tmp_path / "own.pem"))
    assert await _shown(client_options()["ssl_context"], authority)


async def test_without_one_such_a_broker_refuses_us(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    settings = Settings(kafka_security_protocol="SSL", kafka_ssl_cafile=authority.cafile)
    assert not await _shown(settings.kafka_auth()["ssl_context"], authority)
