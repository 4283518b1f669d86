"""An endpoint on this machine that answers whatever bytes a test says, and certificates made for the test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOST = "hooks.bank.example"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Key = ec.EllipticCurvePrivateKey
Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject: str, key: Key, issuer: str, signer: Key, *said: x509.ExtensionType, days: int) -> x509.Certificate:
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer)).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=30))
    made = made.not_valid_after(now + timedelta(days=days))
    for one in said:
        made = made.add_extension(one, critical=isinstance(one, x509.BasicConstraints))
    return made.sign(signer, hashes.SHA256())


class Authority:
    """A certificate authority of its own; `folder` holds what it makes."""

    def __init__(self, folder: Path, name: str = "the authority of the tests") -> None:
        self._folder, self._name, self._key = folder, name, ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        ca = x509.BasicConstraints(ca=True, path_length=0)
        made = _certificate(name, self._key, name, self._key, ca, usage, own, days=30)
        self.cafile = folder / f"{name}.pem"
        self.cafile.write_bytes(made.public_bytes(Encoding.PEM))

    def server(self, host: str, days: int = 30) -> ssl.SSLContext:
        """What a server of the host presents."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        leaf = x509.BasicConstraints(ca=False, path_length=None)
        alternative = x509.SubjectAlternativeName([name])
        made = _certificate(host, key, self._name, self._key, leaf, alternative, issuer, days=days)
        path = self._folder / "leaf.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + made.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.cafile)


@dataclass
class Heard:
    """What reached the server: the names asked for in TLS, the heads and bodies of requests, how many connections."""

    port: int = 0
    names: list[str | None] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    def headers(self, number: int = 0) -> dict[str, str]:
        lines = self.heads[number].split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}


@asynccontextmanager
async def serving(answer: Answer = OK, context: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> AsyncIterator[Heard]:
    """A server until the block ends. `answer` is bytes, or what to do with the writer."""
    heard = Heard()
    if context is not None:
        context.sni_callback = lambda connection, name, _: heard.names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.connections += 1
        heard.called.set()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            heard.heads.append(head)
            heard.bodies.append(await reader.readexactly(int(heard.headers(len(heard.heads) - 1).get("content-length", "0"))))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            heard.hung_up.set()
            writer.close()

    server = await asyncio.start_server(serve, address, 0, ssl=context)
    heard.port = server.sockets[0].getsockname()[1]
    try:
        yield heard
    finally:
        server.close()
