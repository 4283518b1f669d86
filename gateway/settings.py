"""Every setting of the gateway that the workers do not share. Environment: `LIANDONG_<NAME>`.

Invariant: every limit on a sender (bytes, lines, depth, time) is here or in Settings, and has a default.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from schemas.common import PartyId
from stream_processors.runtime.settings import Settings

LOCAL_ISSUER = "liandong-local"
"""Issuer of the tokens that `liandong token` makes."""


class GatewaySettings(Settings):
    """`jwks` is a file or an https URL; the default is the local launcher's key file.

    `coordination_body`: the name under which its officers act (Arts. 7, 45). `scorecards_period`: the length of the periods with
    cards. One length only, because a month and its year would reveal a hidden figure of another month. `scorecards_only_over`:
    only ended periods, because two cards of a running one differ by the events in between.
    """

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(8080, ge=0, le=65535)
    gateway_id: str = "gateway-0"

    jwks: str | None = None
    jwt_issuer: str = LOCAL_ISSUER
    jwt_audience: str = "liandong"
    jwt_leeway_s: int = Field(30, ge=0)
    jwt_longest_s: int = Field(86_400, ge=60)
    jwks_refresh_s: float = Field(300.0, ge=1)
    jwks_unknown_key_s: float = Field(5.0, ge=0)
    tokens_cached: int = Field(4096, ge=1)

    head_s: float = Field(20.0, gt=0)
    keep_alive_s: int = Field(65, ge=1)
    answer_unread_s: float = Field(30.0, gt=0)
    connections_limit: int = Field(8192, ge=1)

    batch_limit_bytes: int = Field(64 << 20, ge=1)
    batch_decompressed_limit_bytes: int = Field(64 << 20, ge=1)
    batches_limit: int = Field(64, ge=1)
    batches_per_institution_limit: int = Field(8, ge=1)
    body_idle_s: float = Field(20.0, gt=0)
    batch_limit_lines: int = Field(20_000, ge=1)
    line_limit_bytes: int = Field(64 << 10, ge=1)
    chunk_lines: int = Field(500, ge=1, le=5000)

    append_timeout_s: float = Field(10.0, gt=0)
    lock_ttl_s: float = Field(15.0, gt=0)
    receipt_ttl_s: int = Field(86_400, ge=60)
    redis_timeout_s: float = Field(2.0, gt=0)
    in_flight_limit: int = Field(4000, ge=1)
    lag_limit: int = Field(400_000, ge=0)
    retry_after_s: int = Field(2, ge=1)
    outcome_wait_s: float = Field(3.0, ge=0)
    scrape_token_file: Path | None = None
    metrics_labels_limit: int = Field(200, ge=1)

    live_updates_a_second: float = Field(4.0, gt=0, le=100)
    live_counts_every_s: float = Field(1.0, gt=0)
    live_heartbeat_s: float = Field(15.0, gt=0)
    live_slow_s: float = Field(20.0, gt=0)
    live_longest_s: float = Field(3600.0, gt=0)
    live_ready_s: float = Field(5.0, gt=0)
    live_linger_s: float = Field(120.0, ge=0)
    live_clients_limit: int = Field(500, ge=1)
    live_per_officer_limit: int = Field(6, ge=1)
    live_cases_held: int = Field(2000, ge=1)
    live_cases_an_update: int = Field(200, ge=1)
    live_cases_kept: int = Field(5000, ge=1)

    inbox_wait_most_s: float = Field(30.0, ge=0, le=60)
    inbox_waiting_limit: int = Field(2000, ge=1)
    inbox_waiting_per_recipient_limit: int = Field(32, ge=1)
    inbox_waiting_per_caller_limit: int = Field(64, ge=1)

    trusted_proxies: str = ""
    tip_limit_bytes: int = Field(16 << 10, ge=1024)
    tip_body_s: float = Field(10.0, gt=0)
    tips_an_hour: int = Field(5, ge=1)
    tips_an_hour_all: int = Field(600, ge=1)
    tip_tries_an_hour: int = Field(40, ge=1)
    tip_tries_an_hour_all: int = Field(20_000, ge=1)
    tip_looks_a_minute: int = Field(30, ge=1)
    tip_looks_a_minute_all: int = Field(3000, ge=1)
    tip_closed_after_days: int = Field(30, ge=1, le=180)

    webhook_changes_an_hour: int = Field(60, ge=1)

    coordination_body: PartyId = "coordination-630200"
    scorecards_threshold: int = Field(5, ge=1, le=1000)
    scorecards_period: Literal["day", "month", "year"] = "month"
    scorecards_only_over: bool = False
    scorecards_kept_s: float = Field(5.0, ge=0)
    scorecards_metrics_parties: int = Field(50, ge=1)

    drain_s: int = Field(20, ge=1)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, text: str) -> str:
        """Addresses and networks, separated by commas, whose X-Forwarded-For is trusted."""
        for network in filter(None, map(str.strip, text.split(","))):
            ip_network(network)
        return text

    @property
    def scrape_token_path(self) -> Path:
        """The launcher creates this file; another Prometheus needs its content as `credentials_file`."""
        return self.scrape_token_file or Path(self.home) / self.profile / "scrape.token"

    @property
    def jwks_source(self) -> str:
        return self.jwks or str(Path(self.home) / self.profile / "jwks.json")
