"""A platform: user reports about sites. Sends each when it arrives, several at once, and reads which of them count."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

from connectors.client import AsyncClient, ProblemError, Signal, SignalOutcome

REPORTS = {
    "U-501": "hxxps://licai[.]example[.]cn/vip",
    "U-502": "https://shop-refund.example.com/login?id=7",
    "U-503": "ftp://not-a-site",
}


def signal(report: str, url: str) -> Signal:
    return {
        "reference": f"REPORT-{report}",
        "kind": "telecom_fraud",
        "occurred_at": datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0),
        "region": "630224",
        "indicators": [{"kind": "url", "value": url}],
    }


async def follow_report(client: AsyncClient, report: str, url: str) -> SignalOutcome | None:
    """Returns the result of a report; None if it is not a signal."""
    try:
        receipt = await client.send(signal(report, url))
    except ProblemError as error:
        print(f"{report}: {error}")
        return None
    return await client.wait(receipt.signal_id, timeout_s=20)


async def main(url: str, token: str, reports: dict[str, str] = REPORTS) -> dict[str, SignalOutcome | None]:
    async with AsyncClient(url, token) as client:
        outcomes = await asyncio.gather(*(follow_report(client, report, site) for report, site in reports.items()))
    outcome_of = dict(zip(reports, outcomes, strict=True))
    for report, outcome in outcome_of.items():
        print(f"{report}: {outcome.outcome if outcome else 'not taken'}")
    return outcome_of


if __name__ == "__main__":
    asyncio.run(main(os.environ["LIANDONG_URL"], os.environ["LIANDONG_TOKEN"]))
