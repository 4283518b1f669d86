"""A bank: a teller stops a customer's transfer. Sends one signal, and reads its result a moment later."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from connectors.client import Client, InvalidSignal, Signal, SignalOutcome, SignalReceipt, Unavailable

STOPPED: Signal = {
    "reference": "B001-CASE-2026-000123",  # the bank's own case number: sent again after a crash, it is the same signal
    "kind": "telecom_fraud",
    "occurred_at": datetime.now(UTC) - timedelta(minutes=4),
    "region": "630202",
    "amount": {"minor": 6_000_000, "currency": "CNY"},
    "indicators": [
        {"kind": "account", "value": "6222 0210 0101 234"},
        {"kind": "phone", "value": "138 0000 1234"},
        {"kind": "phone", "value": "139 0000 5678", "role": "victim"},
    ],
    "narrative": "客户接到冒充客服电话，欲转账六万元，柜员劝阻",
}


def main(url: str, token: str, signal: Signal = STOPPED) -> tuple[SignalReceipt, SignalOutcome] | None:
    with Client(url, token) as client:
        try:
            receipt = client.send(signal)
        except InvalidSignal as error:
            for fault in error.faults:
                print(f"to be corrected at {fault.pointer}: {fault.detail}")
            return None
        except Unavailable as error:
            print(f"keep it, send it again later under the same reference: {error}")
            return None
        print(f"in the log since {receipt.accepted_at:%H:%M:%S}: {receipt.signal_id}")
        outcome = client.wait(receipt.signal_id, timeout_s=20)
        print(f"{outcome.outcome}, severity {outcome.severity}, {'before an agency' if outcome.routed else 'not routed'}")
        return receipt, outcome


if __name__ == "__main__":
    main(os.environ["LIANDONG_URL"], os.environ["LIANDONG_TOKEN"])
