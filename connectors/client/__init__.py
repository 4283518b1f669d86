"""liandong-client: the gateway's client for institutions, blocking (`Client`) and asynchronous (`AsyncClient`).
docs/guide/client.md describes it.

Invariant: it depends on httpx and pydantic only and on nothing else of this project, so it can be installed alone.
"""

from .backoff import Backoff
from .case_work import Dissuasion, Measure, Order
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
from .inbox import Notification, Page
from .models import Advisory, Answer, Feedback, Outcome, Receipt
from .sansio import Patience
from .signals import Amount, Indicator, Signal
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
    "Dissuasion",
    "Fault",
    "Feedback",
    "Forbidden",
    "Indicator",
    "InvalidSignal",
    "Measure",
    "NotFound",
    "Notification",
    "Order",
    "Outcome",
    "Page",
    "Patience",
    "ProblemError",
    "Receipt",
    "ReferenceReused",
    "Signal",
    "StillPending",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Webhook",
    "verify_webhook",
]
