"""Hypothesis: a failure prints how to have it again (`@reproduce_failure`), and nothing is written into the tree.

More examples: `LIANDONG_HYPOTHESIS_FACTOR=20 .venv/bin/pytest tests/property`.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "liandong",
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("liandong")
