"""liandong-client: an institution's way to the gateway, blocking (`Client`) and asynchronous (`AsyncClient`).
docs/guide/client.md describes it.

Invariant: it needs httpx and pydantic and nothing else of this project, so it can be installed alone.
"""

from .answers import Advisory, Answer, Feedback, Outcome, Receipt
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
from .inbox import Notice, Page
from .loop import Measure, Order, Task
from .signals import Amount, Indicator, Signal
from .steps import Patience
from .webhook import BadWebhook, Webhook, verify_webhook

__all__ = [
    "Advisory",
    "Amount",
    "Answer",
    "AsyncClient",
    "Backoff",
    "BadWebhook",
    "Client",
    "ClientError",
    "Fault",
    "Feedback",
    "Forbidden",
    "Indicator",
    "InvalidSignal",
    "Measure",
    "NotFound",
    "Notice",
    "Order",
    "Outcome",
    "Page",
    "Patience",
    "ProblemError",
    "Receipt",
    "ReferenceReused",
    "Signal",
    "StillPending",
    "Task",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Webhook",
    "verify_webhook",
]
