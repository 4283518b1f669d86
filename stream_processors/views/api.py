"""The read side of `project` in one place: the gateway reads nothing else of the state.

Invariant: while the views are rebuilt every read raises Rebuilding (reading.py).
"""

from __future__ import annotations

from stream_processors.state.store import RedisLike
from stream_processors.views.case_index import CaseIndexViews
from stream_processors.views.cases import CaseViews
from stream_processors.views.money_trail import TrailViews
from stream_processors.views.oversight import OversightViews
from stream_processors.views.receipts import ReceiptViews
from stream_processors.views.scorecards import ScorecardViews
from stream_processors.views.webhook_endpoints import WebhookViews


class Views(ReceiptViews, CaseViews, CaseIndexViews, TrailViews, WebhookViews, ScorecardViews, OversightViews):
    def __init__(self, redis: RedisLike) -> None:
        self._redis = redis
