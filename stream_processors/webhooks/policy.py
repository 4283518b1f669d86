"""The operator's settings of webhooks: permitted addresses, rates, times. Validated like the policy.

Invariant: the shipped settings permit public addresses over HTTPS and nothing else.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from schemas.common import Strict
from stream_processors.runtime.settings import PolicyError, parse_file

Network = IPv4Network | IPv6Network
Networks = Annotated[tuple[Network, ...], Field(max_length=64)]
_WIDEST = {4: 8, 6: 16}
"""Shortest prefix of an exception by IP version, so that a typing error cannot allow all private networks."""


def _narrow(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    if wide := [str(network) for network in networks if network.prefixlen < _WIDEST[network.version]]:
        raise ValueError(f"{', '.join(wide)} is too wide; use /8 or narrower for IPv4 and /16 or narrower for IPv6")
    return networks


class Calls(Strict):
    """The permitted addresses.

    `allowed`: private networks that may be called (a dedicated line to a bank). `refused`: public networks that may not be called
    (the operator's own, a NAT64 prefix). `literals`: a URL may have an address in place of a name. `plain_http` is for tests.
    """

    plain_http: bool = False
    literals: bool = False
    ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(min_length=1, max_length=16)] = (443, 8443)
    longest_url: int = Field(default=2048, ge=64, le=8192)
    allowed: Annotated[Networks, AfterValidator(_narrow)] = ()
    refused: Networks = ()


class Limits(Strict):
    """Limits of one attempt: time and response size. `total_s` covers all of it but the resolving."""

    resolve_s: float = Field(default=5.0, gt=0, le=60)
    connect_s: float = Field(default=5.0, gt=0, le=60)
    total_s: float = Field(default=15.0, gt=0, le=120)
    answer_bytes: int = Field(default=64 << 10, ge=1024, le=1 << 20)


class Retries(Strict):
    """Retries: `first_s` doubles up to `max_s`. After `attempts`, or `give_up_s` after the first one, the delivery is parked.
    An endpoint's own Retry-After counts up to `longest_wish_s`."""

    first_s: float = Field(default=2.0, gt=0, le=3600)
    longest_s: float = Field(default=3600.0, gt=0, le=86_400)
    attempts: int = Field(default=40, ge=1, le=1000)
    give_up_s: int = Field(default=86_400, ge=1, le=30 * 86_400)
    longest_wish_s: float = Field(default=3600.0, ge=0, le=86_400)

    @model_validator(mode="after")
    def _ordered(self) -> Retries:
        if self.first_s > self.longest_s:
            raise ValueError("first_s exceeds longest_s")
        return self


class Hooks(Strict):
    """`overlap_s`: how long an old secret keeps signing after its replacement."""

    calls: Calls = Calls()
    limits: Limits = Limits()
    retries: Retries = Retries()
    overlap_s: int = Field(default=86_400, ge=0, le=30 * 86_400)

    def loosened(self) -> str | None:
        """The relaxed checks beyond public names over HTTPS, for a loud log line; None if there are none."""
        calls = self.calls
        exceptions = ["plain http"] if calls.plain_http else []
        exceptions += ["addresses in place of names"] if calls.literals else []
        exceptions += [f"the networks {', '.join(map(str, calls.allowed))}"] if calls.allowed else []
        return " and ".join(exceptions) or None


def load_hooks(path: Path | None) -> Hooks:
    """The operator's settings of webhooks; without a file only public addresses over HTTPS. PolicyError if the file is unreadable
    or incomplete."""
    if path is None:
        return Hooks()
    try:
        text = path.read_bytes()
    except OSError as error:
        raise PolicyError(f"cannot read the settings of webhooks {path}: {error}") from error
    return parse_file(Hooks, text, path, "settings of webhooks")
