"""The scrape token: Prometheus sends it in place of a JWT, which would expire within a day.

Invariant: without a token file it admits nobody; a replaced file takes effect with the next scrape.
"""

from __future__ import annotations

import hmac
from pathlib import Path

MIN_LENGTH = 24


class ScrapeToken:
    """`matches(header)`: whether an Authorization header contains the token of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def matches(self, header: str | None) -> bool:
        if header is None or header[:7].lower() != "bearer ":
            return False
        try:
            token = self._path.read_bytes().strip()
        except OSError:
            return False
        return len(token) >= MIN_LENGTH and hmac.compare_digest(header[7:].strip().encode(), token)
