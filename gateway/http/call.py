"""One request as a handler gets it: with its caller, and the services that it may use.

RequestServices of the gateway's own are found by their class: this package knows none of them, and no feature knows another's.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

from fastapi import Request

from gateway.http.caller import Caller
from gateway.http.problems import Problem
from schemas.policy import Policy
from schemas.security import Sealer, Tokenizer
from stream_processors.views.api import Views

Service = TypeVar("Service")


class RequestSettings(Protocol):
    """Bounds on bodies, and when to come back."""

    body_limit_bytes: int
    body_idle_s: float
    json_depth_limit: int
    retry_after_s: int


class RequestServices(Protocol):
    """What every request may use; `find_service` gives the rest."""

    @property
    def settings(self) -> RequestSettings: ...

    policy: Policy
    views: Views
    tokenizer: Tokenizer
    sealer: Sealer

    def find_service(self, kind: type[Service]) -> Service:
        """The one service of exactly this class."""

    async def authenticate(self, header: str | None) -> Caller:
        """The caller of an Authorization header, or Problem 401."""

    def is_scraper(self, header: str | None) -> bool:
        """Whether the header holds the scrape token."""

    def problem_of(self, error: Exception) -> Problem:
        """Returns the problem for an exception, and counts it."""


class Call(NamedTuple):
    """One request with its caller and the services."""

    request: Request
    caller: Caller
    services: RequestServices

    def find_service(self, kind: type[Service]) -> Service:
        """The one service of exactly this class."""
        return self.services.find_service(kind)
