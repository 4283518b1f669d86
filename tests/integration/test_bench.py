"""A small sample of the benches over the real Kafka, Redis and processes: they run to their end and measure something.

The figures themselves are for `make bench`: a shared machine in the middle of a test run says nothing about rates.
"""

from __future__ import annotations

import pytest

from tests.bench.figures import Figure
from tests.bench.harness import Setting
from tests.bench.main import take

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", ["assess", "latency"])
def test_a_small_bench_measures_something(name: str):
    rows = take(name, Setting(1, 0.005, lambda line: None))
    assert rows
    for row in rows:
        assert isinstance(row, Figure), row.as_json()
        assert row.median > 0
