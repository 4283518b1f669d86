"""Fixtures for all tests: a real Kafka and Redis, started once a session when a test asks for them.

They listen on their own ports, keep their data in a temporary folder and end with the session. What is downloaded is
kept in the project's cache, so that only the first session ever needs the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deploy.local.stack import Stack


@dataclass(frozen=True)
class Backbone:
    """Where they are. All topics of the table are there; tests that count should make topics and keys of their own."""

    kafka_bootstrap: str
    redis_url: str
    stack: Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, those of the backbone run in one: it is started once."""
    for item in items:
        if "backbone" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("backbone"))


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backbone]:
    """Kafka and Redis of the profile `test`, with the topics of the table."""
    stack = Stack("test", home=tmp_path_factory.mktemp("liandong"), services=("kafka", "redis"))
    stack.up()
    try:
        yield Backbone(stack.kafka_bootstrap, stack.redis_url, stack)
    finally:
        stack.down(wipe=True)
