"""The public keys that verify tokens, from a file or a URL.

Invariant: keys are read again after `jwks_refresh_s`, and at once (rate-limited) for a token with an unknown key. If the source
is unavailable, the keys read before stay in force.
"""

from __future__ import annotations

import asyncio
import logging
import time
import urllib.request
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from gateway.http.problems import later
from gateway.settings import LOCAL_ISSUER, GatewaySettings

_LIMIT_BYTES = 1 << 20
_FETCH_TIMEOUT_S = 5

logger = logging.getLogger("liandong.gateway")


class UnsafeKeys(ValueError):
    """The token keys of the settings must not be trusted on the configured address; the text gives the remedy."""


def check_keys(settings: GatewaySettings) -> None:
    """UnsafeKeys if the local key would be trusted on an address that others reach, or keys come over plain HTTP: anyone who runs
    `liandong token` on the host, or controls the network path, could act as anybody."""
    if settings.jwks is None or settings.jwt_issuer == LOCAL_ISSUER:
        if not is_loopback(settings.gateway_host):
            raise UnsafeKeys(
                f"LIANDONG_GATEWAY_HOST is {settings.gateway_host}, but the local development key works on loopback "
                "only: anyone who can run `liandong token` here could act as any officer. Set LIANDONG_JWKS (a "
                "file or an https URL) and LIANDONG_JWT_ISSUER to those of your identity provider"
            )
        logger.warning("the gateway trusts tokens of the LOCAL DEVELOPMENT KEY (%s), on loopback only", settings.jwks_source)
    parts = urlsplit(settings.jwks_source)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise UnsafeKeys("LIANDONG_JWKS is an http URL, so anyone on the network path could insert keys; use https or a file")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class KeySource:
    """`generation` counts the changes of the keys."""

    def __init__(
        self, source: str, *, refresh_s: float, unknown_key_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._refresh_s = refresh_s
        self._unknown_key_s = unknown_key_s
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._raw = b""
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()
        self.generation = 0

    async def keep_fresh(self) -> None:
        """Reads the keys again when they are old. Costs a comparison otherwise."""
        if self._clock() - self._read_at >= self._refresh_s:
            await self._reload_keys(self._refresh_s)

    async def find(self, kid: str) -> Key | None:
        """Returns the key of this id, after a read of the source if it is unknown."""
        if kid not in self._keys:
            await self._reload_keys(self._unknown_key_s)
        if not self._keys:
            raise later("keys-unavailable", "the gateway has not read any token keys yet", 5)
        return self._keys.get(kid)

    async def _reload_keys(self, not_within_s: float) -> None:
        async with self._lock:
            if self._clock() - self._read_at < not_within_s:
                return
            self._read_at = self._clock()
            try:
                raw = await asyncio.to_thread(_fetch_keys, self._source)
                keys = _parse_keys(raw)
            except (OSError, ValueError, JoseError) as error:
                logger.warning("cannot read the token keys from %s: %s", self._source, error)
                return
            if raw != self._raw:
                self._keys, self._raw = keys, raw
                self.generation += 1


def _fetch_keys(source: str) -> bytes:
    if source.startswith(("http://", "https://")):
        with urllib.request.urlopen(source, timeout=_FETCH_TIMEOUT_S) as answer:
            return bytes(answer.read(_LIMIT_BYTES))
    return Path(source).read_bytes()


def _parse_keys(raw: bytes) -> dict[str, Key]:
    document: Any = orjson.loads(raw)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JWK set")
    keys: dict[str, Key] = {}
    for key in KeySet.import_key_set({"keys": document["keys"]}).keys:
        if key.kid and key.key_type in ("OKP", "EC", "RSA"):
            keys[key.kid] = key
    return keys
