"""The real gateway app over fakes, served on a port, with stages that assess every signal at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn

from deploy.local.tokens import ensure_keys, mint
from gateway import app as wiring
from gateway.adapters.stage_lag import Lag
from gateway.settings import GatewaySettings
from schemas.codec import decode
from schemas.topics import SUBMITTED, Topic
from stream_processors.runtime.log import KeyedEntry
from stream_processors.views.receipts import Receipt
from tests.support.builders import KEYRING, reference_of
from tests.unit.gateway.fakes import T0, FakeLog, FakeRates, FakeViews, MemoryIdempotency

PROFILE = "client"


class Served(NamedTuple):
    url: str
    token: Callable[[str], str]
    log: FakeLog
    memory: MemoryIdempotency
    views: FakeViews

    def references(self) -> list[str]:
        return sorted(str(reference_of(decode(SUBMITTED, entry.value).data)) for entry in self.log.all(SUBMITTED))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    ensure_keys(tmp_path / PROFILE)
    log, memory, views = FakeLog(), MemoryIdempotency(), FakeViews()

    def assess(topic: Topic, entry: KeyedEntry) -> None:
        if topic is not SUBMITTED:
            views.apply(topic, entry)
            return
        signal = decode(SUBMITTED, entry.value).data
        known = {"institution": signal.institution, "accepted_at": T0, "assessed_at": T0}
        views.receipts[signal.signal_id] = Receipt(
            signal_id=signal.signal_id, outcome="assessed", severity="high", queues=("q",), **known
        )

    log.told = assess
    settings = GatewaySettings(home=tmp_path, profile=PROFILE, jwks=None, retry_after_s=1)
    app = wiring.create_app_over(
        wiring.services(settings, keyring=KEYRING, log=log, memory=memory, views=views, lag=Lag(), rates=FakeRates())
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < until and thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://127.0.0.1:{port}", lambda who: mint(who, home=tmp_path, profile=PROFILE), log, memory, views)
    server.should_exit = True
    thread.join(10)
