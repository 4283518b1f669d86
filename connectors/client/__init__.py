"""liandong-client: an institution's way to the gateway, blocking (`Client`) and asynchronous (`AsyncClient`). docs/client.md.

Invariant: it needs httpx and pydantic and nothing else of this project, so it can be installed alone.
"""

from .answers import Answer, Outcome, Position, Receipt
from .backoff import Backoff
from .client import AsyncClient, Client
from .errors import (
    ClientError,
    Fault,
    Forbidden,
    InvalidSignal,
    NotFound,
    ProblemError,
    ReferenceReused,
    StillPending,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from .signals import Amount, Indicator, Signal
from .steps import Patience

__all__ = [
    "Amount",
    "Answer",
    "AsyncClient",
    "Backoff",
    "Client",
    "ClientError",
    "Fault",
    "Forbidden",
    "Indicator",
    "InvalidSignal",
    "NotFound",
    "Outcome",
    "Patience",
    "Position",
    "ProblemError",
    "Receipt",
    "ReferenceReused",
    "Signal",
    "StillPending",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
]
