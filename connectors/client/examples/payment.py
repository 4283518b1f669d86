"""A payment institution: the findings of a nightly run, thousands at once, compressed. Refused ones return to their desk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from connectors.client import AsyncClient, Signal

RUN = "2026-11-24"


async def findings(count: int, broken: int | None = None) -> AsyncIterator[Signal]:
    """Stands for a cursor over the institution's own tables. The row `broken` has an invalid currency."""
    since = datetime.now(UTC) - timedelta(hours=8)
    for row in range(count):
        yield {
            "reference": f"NIGHT-{RUN}-{row:06d}",  # run and row: another run over the same night sends the same references
            "kind": "illegal_finance",
            "occurred_at": since + timedelta(seconds=row),
            "region": "630203",
            "amount": {"minor": 68_000 + row, "currency": "yuan" if row == broken else "CNY"},
            "indicators": [{"kind": "account", "value": f"88010000{row % 97:08d}"}],
        }


async def main(url: str, token: str, count: int = 2000, broken: int | None = 1234) -> tuple[int, list[str]]:
    """Prints how many signals are in the log, and the references of the others."""
    accepted, refused = 0, list[str]()
    async with AsyncClient(url, token) as client:
        async for answer in client.send_many(findings(count, broken), batch=500):
            if answer.accepted:
                accepted += 1
            else:
                print(f"{answer.reference}: {answer.reason}")
                refused.append(str(answer.reference))
    print(f"{accepted} in the log, {len(refused)} to be corrected")
    return accepted, refused


if __name__ == "__main__":
    asyncio.run(main(os.environ["LIANDONG_URL"], os.environ["LIANDONG_TOKEN"]))
