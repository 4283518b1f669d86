"""A gateway over fakes, and clients with tokens of every role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from deploy.local.tokens import ensure_keys, mint
from gateway import app as wiring
from gateway.adapters.stage_lag import Lag
from gateway.settings import GatewaySettings
from schemas.security import Keyring
from tests.unit.gateway.fakes import FakeLog, FakeNames, FakeRates, FakeViews, MemoryIdempotency

Client = Callable[..., httpx.AsyncClient]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    ensure_keys(folder / "unit")
    return folder


@pytest.fixture
def settings(home: Path) -> GatewaySettings:
    return GatewaySettings(home=home, profile="unit", jwks=None, outcome_wait_s=0.3, chunk_lines=10, jwks_unknown_key_s=0)


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def memory() -> MemoryIdempotency:
    return MemoryIdempotency()


@pytest.fixture
def views(log: FakeLog) -> FakeViews:
    views = FakeViews()
    log.told = views.apply
    return views


@pytest.fixture
def rates() -> FakeRates:
    return FakeRates()


@pytest.fixture
def names() -> FakeNames:
    return FakeNames()


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring.generate()


@pytest.fixture
def services(
    settings: GatewaySettings,
    keyring: Keyring,
    log: FakeLog,
    memory: MemoryIdempotency,
    views: FakeViews,
    rates: FakeRates,
    names: FakeNames,
) -> wiring.Services:
    ports = {"log": log, "memory": memory, "views": views, "lag": Lag(), "rates": rates, "resolve": names}
    return wiring.services(settings, keyring=keyring, **ports)


@pytest.fixture
async def client(services: wiring.Services, home: Path) -> AsyncIterator[Client]:
    """`client("bank-001")` sends with that party's token, `client(None)` without one."""
    transport = httpx.ASGITransport(wiring.create_app_over(services), raise_app_exceptions=False)
    made: list[httpx.AsyncClient] = []

    def make(subject: str | None = "bank-001", *, role: str | None = None, queues: list[str] | None = None) -> httpx.AsyncClient:
        headers = {}
        if subject is not None:
            headers["Authorization"] = "Bearer " + mint(subject, role=role, queues=queues, home=home, profile="unit")
        made.append(httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()
