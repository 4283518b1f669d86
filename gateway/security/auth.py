"""Authentication: bearer JWTs validated against the JWKS, deny by default.

Invariant: a caller exists only after signature, issuer, audience and times were checked with pinned algorithms. A decoded token
is cached no longer than it is valid, and not past a reload of the keys.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import orjson
from joserfc import jwt
from joserfc.errors import ClaimError, JoseError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.http.caller import Caller, Role
from gateway.http.problems import Problem
from gateway.security.jwks import KeySource
from gateway.settings import GatewaySettings
from schemas.common import PartyId, is_unit
from schemas.signals.submission import PUBLIC

ALGORITHMS = ["Ed25519", "EdDSA", "ES256", "RS256"]
_TOKEN_LIMIT_BYTES = 8192


class _Claims(BaseModel):
    model_config = ConfigDict(extra="ignore")
    sub: PartyId
    role: Role
    queues: tuple[str, ...] = Field(default=(), max_length=64)
    exp: float = Field(allow_inf_nan=False)
    iat: float | None = Field(default=None, allow_inf_nan=False)


class Authenticator:
    """`caller(header)`: the caller of an Authorization header, or Problem 401."""

    def __init__(self, settings: GatewaySettings, keys: KeySource, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock
        self._cache_limit = settings.tokens_cached
        self._cache: dict[str, Caller] = {}
        self._generation = keys.generation
        self._leeway_s = settings.jwt_leeway_s
        self._longest_s = settings.jwt_longest_s
        self._expected: dict[str, Any] = {
            "iss": {"essential": True, "value": settings.jwt_issuer},
            "aud": {"essential": True, "value": settings.jwt_audience},
            "exp": {"essential": True},
            "sub": {"essential": True},
        }

    async def caller(self, header: str | None) -> Caller:
        if header is None or header[:7].lower() != "bearer ":
            raise _deny_token("send a bearer token in the Authorization header", "invalid_request")
        token = header[7:].strip()
        await self._keys.keep_fresh()
        if self._generation != self._keys.generation:
            self._cache.clear()
            self._generation = self._keys.generation
        cached = self._cache.get(token)
        if cached is not None and cached.expires_at + self._leeway_s > self._clock():
            return cached
        self._cache.pop(token, None)
        caller = await self._decode_token(token)
        if len(self._cache) >= self._cache_limit:
            del self._cache[next(iter(self._cache))]
        self._cache[token] = caller
        return caller

    async def _decode_token(self, token: str) -> Caller:
        if len(token) > _TOKEN_LIMIT_BYTES:
            raise _deny_token("the token is too long")
        key = await self._keys.find(_key_id(token))
        if key is None:
            raise _deny_token("the key of the token is unknown")
        registry = jwt.JWTClaimsRegistry(now=int(self._clock()), leeway=self._leeway_s, **self._expected)
        try:
            decoded = jwt.decode(token, key, algorithms=ALGORITHMS)
            registry.validate(decoded.claims)
            claims = _Claims.model_validate(decoded.claims)
        except ClaimError as error:
            raise _deny_token(f"the token is not valid: {error.error} ({error.claim})") from None
        except JoseError as error:
            raise _deny_token(f"the token is not valid: {error.error or type(error).__name__}") from None
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise _deny_token(f"the claim {where} is missing or not valid") from None
        except (ValueError, TypeError, KeyError, RecursionError):
            raise _deny_token("the token cannot be read") from None
        self._check_lifetime(claims)
        _check_name(claims.sub, claims.role)
        queues = claims.queues if claims.role is Role.OFFICER else ()
        return Caller(claims.sub, claims.role, queues, claims.exp)

    def _check_lifetime(self, claims: _Claims) -> None:
        """A stolen token must expire by itself, because there is no list of revoked ones."""
        begins = self._clock() if claims.iat is None else min(claims.iat, self._clock())
        if claims.exp - begins > self._longest_s + self._leeway_s:
            raise _deny_token(f"the lifetime of the token exceeds {self._longest_s} s")


def _check_name(subject: str, role: Role) -> None:
    """Inboxes, orders and dissuasion use names alone, so no institution may have a name that means somebody else."""
    if subject == PUBLIC:
        raise _deny_token("the subject of the token is reserved for public tips")
    if role is Role.INSTITUTION and is_unit(subject):
        raise _deny_token(
            "a subject that ends in a region code names a unit, not an institution; use a token with the role "
            "officer to act for a unit"
        )


def _key_id(token: str) -> str:
    """The `kid` of the header. A token without one is refused, because every key would have to be tried."""
    try:
        head = token.split(".", 1)[0]
        header = orjson.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except ValueError:
        raise _deny_token("the token cannot be read") from None
    kid = header.get("kid") if isinstance(header, dict) else None
    if not isinstance(kid, str) or not kid:
        raise _deny_token("the token header has no kid")
    return kid


def _deny_token(detail: str, error: str = "invalid_token") -> Problem:
    return Problem("unauthenticated", detail, headers={"WWW-Authenticate": f'Bearer realm="liandong", error="{error}"'})
