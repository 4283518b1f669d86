"""Receipts: the positions of a ledger's receipts in the log, and the signals with a receipt in the views."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from deploy.verify.ledger import PlaceOf
from schemas.security import Keyring, PlaceCipher
from stream_processors.views.api import Views
from stream_processors.views.receipts import Receipt

_AT_ONCE = 16


def places_of(keyring: Keyring) -> PlaceOf:
    """Opens the receipts of a ledger that were made with these keys."""
    cipher = PlaceCipher(keyring)
    return lambda receipt: cipher.open(receipt)[1:3]


async def read_receipts(views: Views, signal_ids: Iterable[str]) -> dict[str, Receipt]:
    """Returns the receipts of these signals by signal id, without those that have none."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(signal_id: str) -> Receipt | None:
        async with gate:
            return await views.receipt(signal_id)

    receipts = await asyncio.gather(*map(read, signal_ids))
    return {receipt.signal_id: receipt for receipt in receipts if receipt is not None}
