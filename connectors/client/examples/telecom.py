"""A telecom operator: numbers that its monitoring flagged. Reads the token from a file that another process renews; many signals,
no asyncio."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from connectors.client import Backoff, Client, RetryPolicy, Signal

CALLERS = [f"+86 170 {n:04d} 8888" for n in range(40)]


def monitored(callers: list[str]) -> Iterator[Signal]:
    """One signal for each number and day: a number that calls again counts once a day."""
    now = datetime.now(UTC)
    for caller in callers:
        yield {
            "reference": f"VOICE-{now:%Y%m%d}-{''.join(letter for letter in caller if letter.isdigit())}",
            "kind": "telecom_fraud",
            "occurred_at": now.replace(hour=0, minute=0, second=0, microsecond=0),
            "region": "630222",
            "indicators": [{"kind": "phone", "value": caller}],
            "narrative": "短时间内大量外呼，被叫离散，疑似诈骗",
        }


def main(url: str, token_file: Path, callers: list[str] = CALLERS) -> tuple[int, int]:
    """Prints how many signals are in the log, and how many of them the gateway knew already."""
    patience = RetryPolicy(Backoff(first_s=0.5, longest_s=30), give_up_after=20, told=print)
    with Client(url, lambda: token_file.read_text("utf-8").strip(), patience=patience) as client:
        answers = list(client.send_many(monitored(callers)))
    replayed = sum(answer.replayed for answer in answers)
    print(f"{sum(answer.accepted for answer in answers)} in the log, {replayed} of them known already")
    return sum(answer.accepted for answer in answers), replayed


if __name__ == "__main__":
    main(os.environ["LIANDONG_URL"], Path(os.environ["LIANDONG_TOKEN_FILE"]))
