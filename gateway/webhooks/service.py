"""An institution's operations on its endpoints: registering, replacing a secret, pausing, enabling, removing; and parked notices.

All endpoints of an institution are one record with successive revisions. Invariant: a response reflects the log: a change counts
once the views show it, and the second of two concurrent ones is repeated on top of the first.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from gateway.commands.submit import Command, Submitter
from gateway.http.caller import Caller
from gateway.http.problems import Problem, later, of_refused
from gateway.security.rate_limits import REPLAYS, Rate, Rates, within
from schemas.notifications.delivery import DeliveryMark, DeliveryState
from schemas.notifications.webhook import KINDS, MOST_ENDPOINTS, Endpoints, WebhookEndpoint
from schemas.parsing import Refused
from schemas.security import Sealer, UnsealError
from schemas.topics import DELIVERIES, ENDPOINTS
from stream_processors.domain.refusal import Refusal
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.views.inbox import Entry
from stream_processors.views.webhook_endpoints import Parked, WebhookViews
from stream_processors.webhooks import endpoints
from stream_processors.webhooks import url_guard as guard
from stream_processors.webhooks.http_client import Resolve
from stream_processors.webhooks.payload import id_of
from stream_processors.webhooks.policy import Hooks

TRIES = 5
MOST_REDELIVERED = 200
_SECRET_BYTES = 32
PAUSED = "switched off by the institution"

Changed = tuple[WebhookEndpoint, ...]


class EndpointSecret(NamedTuple):
    """An endpoint and, shown this once, its new secret."""

    endpoint: WebhookEndpoint
    secret: str


class WebhookService:
    def __init__(
        self,
        submitter: Submitter,
        views: WebhookViews,
        sealer: Sealer,
        rates: Rates,
        hooks: Hooks,
        resolve: Resolve,
        *,
        changes_an_hour: int,
    ) -> None:
        self._submitter, self._views, self._sealer, self._rates = submitter, views, sealer, rates
        self._hooks, self._resolve = hooks, resolve
        self._rate = Rate(changes_an_hour, 3600), Rate(changes_an_hour * 100, 3600)
        self.now = submitter.now

    async def all(self, institution: str) -> Endpoints | None:
        return await self._views.endpoints(institution)

    async def find_endpoint(self, institution: str, endpoint_id: str) -> WebhookEndpoint:
        """Problem 404 if it is not the institution's: another's does not exist."""
        registered = await self._views.endpoints(institution)
        return _select_endpoint(registered.endpoints if registered is not None else (), endpoint_id)

    async def register(self, caller: Caller, body: endpoints.EndpointIn) -> EndpointSecret:
        """Problem if the address may not be called, as written or as it resolves now; every call resolves it again."""
        try:
            made, secret = endpoints.register(
                body,
                institution=caller.subject,
                endpoint_id=f"hook-{secrets.token_hex(8)}",
                random_bytes=secrets.token_bytes(_SECRET_BYTES),
                sealer=self._sealer,
                known=KINDS,
                hooks=self._hooks,
                now=self.now(),
            )
        except Refused as refusal:
            raise of_refused(refusal) from None
        await self._may_change(caller)
        await self._may_be_called(body.url)

        def add(existing: Changed) -> Changed:
            if there := next((endpoint.endpoint_id for endpoint in existing if self._url_of(endpoint) == body.url), None):
                raise Problem("endpoint-exists", f"{there} has this address; replace its secret if lost", endpoint_id=there)
            if len(existing) >= MOST_ENDPOINTS:
                raise Problem("too-many-endpoints", f"you have {MOST_ENDPOINTS} endpoints, which is the limit; remove one first")
            return (*existing, made)

        after = await self._change_endpoints(caller, add, made.endpoint_id)
        return EndpointSecret(_select_endpoint(after, made.endpoint_id), secret)

    async def rotate(self, caller: Caller, endpoint_id: str, *, at_once: bool) -> EndpointSecret:
        await self._may_change(caller)
        random_bytes, new_secret = secrets.token_bytes(_SECRET_BYTES), [""]

        def replace(endpoint: WebhookEndpoint) -> WebhookEndpoint:
            made, new_secret[0] = endpoints.rotate(
                endpoint, random_bytes=random_bytes, sealer=self._sealer, hooks=self._hooks, now=self.now(), at_once=at_once
            )
            return made

        try:
            after = await self._change_endpoints(caller, _change_one(endpoint_id, replace))
        except Refused as refusal:
            raise Problem("transition-not-allowed", refusal.detail) from None
        return EndpointSecret(_select_endpoint(after, endpoint_id), new_secret[0])

    async def pause(self, caller: Caller, endpoint_id: str) -> WebhookEndpoint:
        if (endpoint := await self.find_endpoint(caller.subject, endpoint_id)).disabled_at is not None:
            return endpoint
        await self._may_change(caller)
        switch = _change_one(endpoint_id, lambda current: endpoints.disable(current, PAUSED, self.now()))
        return _select_endpoint(await self._change_endpoints(caller, switch), endpoint_id)

    async def resume(self, caller: Caller, endpoint_id: str) -> WebhookEndpoint:
        endpoint = await self.find_endpoint(caller.subject, endpoint_id)
        if endpoint.disabled_at is None:
            return endpoint
        await self._may_change(caller)
        url = self._url_of(endpoint)
        if url is None:
            raise Problem("endpoint-refused", "its address can no longer be decrypted; remove it and register it again")
        await self._may_be_called(url)
        switch = _change_one(endpoint_id, lambda current: endpoints.enable(current, self.now()))
        return _select_endpoint(await self._change_endpoints(caller, switch), endpoint_id)

    async def remove(self, caller: Caller, endpoint_id: str) -> None:
        await self._may_change(caller)

        def without(existing: Changed) -> Changed:
            _select_endpoint(existing, endpoint_id)
            return tuple(endpoint for endpoint in existing if endpoint.endpoint_id != endpoint_id)

        await self._change_endpoints(caller, without)

    async def parked(self, institution: str, endpoint_id: str, limit: int) -> Parked:
        await self.find_endpoint(institution, endpoint_id)
        return await self._views.parked(institution, endpoint_id, limit=limit)

    async def replay(self, caller: Caller, endpoint_id: str, notification_ids: Sequence[str], limit: int) -> Parked:
        """Redelivers all or some parked notices to this endpoint only."""
        page = await self.parked(caller.subject, endpoint_id, MOST_REDELIVERED if notification_ids else limit)
        chosen = [
            entry
            for entry in page.entries
            if not notification_ids or entry.issued.notification.notification_id in notification_ids
        ]
        if notification_ids and (missing := len(set(notification_ids)) - len(chosen)):
            raise Problem("not-found", f"{missing} of these notices are not parked for this endpoint")
        detail = "you requested redelivery of parked notices too often"  # it is called from the beginning, its backoff with it
        await within(self._rates, "parked-replays", caller.subject, REPLAYS, detail)
        chosen.sort(key=lambda entry: entry.offset)  # in the order in which they came
        at = self.now()
        marks = [_mark_replayed(entry, endpoint_id, at) for entry in chosen]
        point("gateway.replay_built")
        if marks:
            await self._submitter.append_all(DELIVERIES, marks, caller, advice="send the same request again", at=at)
        point("gateway.replay_appended")
        METRICS.inbox_marks.labels(DeliveryState.REDELIVERED.value).inc(len(chosen))
        return Parked(chosen, page.more)

    async def _may_change(self, caller: Caller) -> None:
        """Each change is a record that is kept permanently."""
        await within(self._rates, "hooks", caller.subject, self._rate, "endpoints are changed too often")

    def _url_of(self, endpoint: WebhookEndpoint) -> str | None:
        """The whole address; None if its key is missing."""
        try:
            return endpoints.url_of(endpoint, self._sealer)
        except UnsealError:
            return None

    async def _may_be_called(self, url: str) -> None:
        calls = self._hooks.calls
        target = guard.target_of(url, calls)
        if isinstance(target, Refusal):
            raise Problem("endpoint-refused", target.why)
        try:
            async with asyncio.timeout(self._hooks.limits.resolve_s):
                resolved = await self._resolve(target.host, target.port)
        except (TimeoutError, OSError):
            raise Problem("endpoint-refused", "the host name cannot be resolved now") from None
        address = guard.pin(resolved, calls)
        if isinstance(address, Refusal):
            raise Problem("endpoint-refused", address.why)

    async def _change_endpoints(self, caller: Caller, change: Callable[[Changed], Changed], named: str | None = None) -> Changed:
        """`named`: the endpoint that only this change creates: if it exists, the change counted."""
        for _ in range(TRIES):
            registered = await self._views.endpoints(caller.subject)
            after = Endpoints(
                institution=caller.subject,
                revision=registered.revision + 1 if registered is not None else 1,
                change_id=f"chg-{secrets.token_hex(8)}",
                endpoints=change(registered.endpoints if registered is not None else ()),
            )
            await self._append_change(caller, after)
            shown = await self._await_shown(after)
            if shown.change_id == after.change_id or (named is not None and shown.of(named) is not None):
                return after.endpoints
        raise later(
            "overloaded", "others change these endpoints at this moment; list them, then try again", self._submitter.retry_after_s
        )

    async def _append_change(self, caller: Caller, after: Endpoints) -> None:
        point("gateway.hook_built")
        command = Command(after.change_id, caller.subject, after)
        await self._submitter.append_one(ENDPOINTS, command, caller, advice="list your endpoints")
        point("gateway.hook_appended")

    async def _await_shown(self, after: Endpoints) -> Endpoints:
        shown = await self._submitter.await_outcome(
            lambda: self._views.endpoints(after.institution),
            lambda endpoints: endpoints.revision >= after.revision,
            self._submitter.deadline(),
        )
        if shown is None:
            detail = "it is in the log, but the views do not show it yet; list your endpoints in a moment"
            raise later("overloaded", detail, self._submitter.retry_after_s)
        return shown


def _select_endpoint(existing: Changed, endpoint_id: str) -> WebhookEndpoint:
    endpoint = next((candidate for candidate in existing if candidate.endpoint_id == endpoint_id), None)
    if endpoint is None:
        raise Problem("not-found", "you have no such endpoint")
    return endpoint


def _change_one(endpoint_id: str, change: Callable[[WebhookEndpoint], WebhookEndpoint]) -> Callable[[Changed], Changed]:
    def changed(existing: Changed) -> Changed:
        _select_endpoint(existing, endpoint_id)
        return tuple(change(endpoint) if endpoint.endpoint_id == endpoint_id else endpoint for endpoint in existing)

    return changed


def _mark_replayed(entry: Entry, endpoint_id: str, at: datetime) -> Command:
    notice = entry.issued.notification
    mark = DeliveryMark(
        recipient=notice.recipient,
        notification_id=notice.notification_id,
        state=DeliveryState.REDELIVERED,
        at=at,
        channel="api",
        notified_at=notice.at,
        endpoint_id=endpoint_id,
        notification_offset=entry.offset,
    )
    name = f"redelivered-{id_of(notice.recipient, notice.notification_id)}-{endpoint_id}-{int(at.timestamp() * 1000)}"
    return Command(name, notice.recipient, mark)
