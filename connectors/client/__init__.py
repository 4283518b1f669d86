"""liandong-client: the gateway's client for institutions, blocking (`Client`) and asynchronous (`AsyncClient`).
docs/guide/client.md describes it.

Invariant: it depends on httpx and pydantic only and on nothing else of this project, so it can be installed alone.
"""

from .backoff import Backoff
from .case_work import DissuasionWork, IncomingOrder, ReportedMeasure
from .client import AsyncClient, Client
from .errors import (
    ClientError,
    Forbidden,
    InvalidSignal,
    NotFound,
    ProblemError,
    ReferenceReused,
    SignalFault,
    StillPending,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from .inbox import InboxNotification, InboxPage
from .models import Advisory, SignalAnswer, SignalFeedback, SignalOutcome, SignalReceipt
from .sansio import RetryPolicy
from .signals import AmountDict, IndicatorDict, Signal
from .webhook import BadWebhook, ReceivedWebhook, verify_webhook

__all__ = [
    "Advisory",
    "AmountDict",
    "AsyncClient",
    "Backoff",
    "BadWebhook",
    "Client",
    "ClientError",
    "DissuasionWork",
    "Forbidden",
    "InboxNotification",
    "InboxPage",
    "IncomingOrder",
    "IndicatorDict",
    "InvalidSignal",
    "NotFound",
    "ProblemError",
    "ReceivedWebhook",
    "ReferenceReused",
    "ReportedMeasure",
    "RetryPolicy",
    "Signal",
    "SignalAnswer",
    "SignalFault",
    "SignalFeedback",
    "SignalOutcome",
    "SignalReceipt",
    "StillPending",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "verify_webhook",
]
