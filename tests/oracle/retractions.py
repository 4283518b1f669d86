"""What senders took back: which identities count in the end, which surely do not, and of which nobody can say.

A retraction takes all versions of a signal, a newer version the older ones, in whatever order they stood in the log.
Invariant: `dead` is said only of what cannot count, and `live` only of what nothing can have taken back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from deploy.verify.ledger import LedgerEntry
from tests.oracle.expected_log import Identity

Signal = tuple[str, str]
"""(institution, reference)"""


def retracted(entries: Iterable[LedgerEntry]) -> dict[Signal, bool]:
    """The signals that a retraction was sent for; whether it is surely in the log."""
    found: dict[Signal, bool] = {}
    for entry in entries:
        if entry.retracts and (entry.fate != "refused" or entry.doubt):
            at = entry.who, entry.reference
            found[at] = found.get(at, False) or entry.fate == "accepted"
    return found


def tell(found: Iterable[Identity], gone: dict[Signal, bool]) -> None:
    """Sets each identity's `fate`."""
    versions: dict[Signal, list[Identity]] = defaultdict(list)
    for one in found:
        versions[one.who, one.reference].append(one)
    for at, group in versions.items():
        for one in group:
            newer = [other for other in group if other.version > one.version]
            if gone.get(at) or any(other.sure or other.acknowledged for other in newer):
                one.fate = "dead"
            elif at in gone or newer:
                one.fate = "doubt"
