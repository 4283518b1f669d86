"""Every Redis key of the projections, in one place.

Keys are in a fixed number of hash-tag buckets, so a script's work on one touches one slot: the state could be sharded over a
cluster (store.py, SMALL). Invariant: a key's bucket follows from its name alone; a change of BUCKETS needs a rebuild (the stamp
contains both).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple
from zlib import crc32

BUCKETS = 16
FOLDS = 22
"""The version of the projections. Raise it when a projection or a key changes; an older state is then rebuilt."""
RESTORING = "restoring "
"""Prefix of the stamp during a restore. Meanwhile views give no answers, and the calls of other workers fail."""


def bucket_of(name: str) -> int:
    """The bucket of a token, a signal id or a case id."""
    return crc32(name.encode()) % BUCKETS


def whole(stamp: bytes | None) -> bool:
    """Whether the state exists, is not being restored, and was made by these projections: another version may use other keys."""
    return stamp is not None and not stamp.startswith(RESTORING.encode()) and f"|folds={FOLDS}#".encode() in stamp


class Key(NamedTuple):
    """Where a value lies: the bucket, and the key in it as text, which is what it is about and its name."""

    text: str
    name: str
    bucket: int


class Concern(StrEnum):
    """What a stage keeps values about. The value is how their keys begin."""

    def key(self, name: str, bucket: int | None = None) -> Key:
        """`bucket`: where it is not that of the name."""
        return Key(self + ":" + name, name, crc32(name.encode()) % BUCKETS if bucket is None else bucket)

    def sole(self, bucket: int) -> Key:
        """The one of a bucket, without a name."""
        return Key(self.value, "", bucket)


class AssessKey(Concern):
    """Of leads of organized crime the names of subjects have a mark (domain/signals/leads.py): sets of their own."""

    REFERENCES = "r"  # who holds a version of a sender's reference; in shared hashes
    FLOORS = "t"  # below which versions of a signal are retracted; beside its references
    CONTENTS = "c"  # which signal holds a content; in shared hashes
    CONTRIBUTIONS = "j"  # what a version added; in shared hashes
    SIGHTINGS = "s"  # of an indicator; the only one in a shared hash
    CASE_QUEUES = "k"  # where a subject has a case; in shared hashes
    VICTIMS = "v"  # what befell a victim; the only event in a shared hash
    TRANSFERS = "f"  # of a suspect. Here and of victims a `!` stands behind the key of what was taken back
    CONFIRMED = "d"  # confirmed cases of a subject


class TrackKey(Concern):
    CASES = "k"  # in shared hashes
    CAPS = "u"  # the cases that ordered something about an account, each with how often


class OverseeKey(Concern):
    RECORDS = "k"  # appraisals, supervision actions, data requests, campaigns; in shared hashes


class TimekeeperKey(Concern):
    """Its buckets belong to partitions (deadline_index.py)."""

    MOMENTS = "c"  # the due moments of a case; in shared hashes
    ORDER = "d"  # cases by their first moment
    PARTS = "o"  # that the order is cut into
    COUNT = "n"  # how many moments there are


class ProjectKey(Concern):
    """What the views hold, a line a view; views/ tells of each."""

    RECEIPTS, WITHDRAWALS, COUNTERS = "r", "x", "n"
    CASES, OUTCOMES, RANKINGS, ALIKE, QUEUE_NAMES, ALIKE_NAMES = "k", "a", "q", "w", "queues", "standings"
    CASE_INDEX, MOVED = "t", "moved"
    NOTICES, UNRECEIVED, BODIES, DELIVERIES, OF_CASE, PARKED = "i", "u", "b", "y", "g", "p"
    ENDPOINTS, CELLS, PARTIES, OVERSEEN, OVERSEEN_NAMES = "h", "z", "parties", "o", "overseen"


class Namespace(NamedTuple):
    """One stage's keys: `{as3}s:k1.…`, its marks in `{as3}m`. `intake`, `deliver` and `webhook` have marks alone."""

    tag: str

    def key(self, bucket: int, concern: Concern, name: str = "") -> str:
        return f"{{{self.tag}{bucket}}}{concern}:{name}" if name else f"{{{self.tag}{bucket}}}{concern}"

    def marks(self, bucket: int) -> str:
        return f"{{{self.tag}{bucket}}}m"


def intake(institution: str) -> Namespace:
    """A namespace for each institution that writes raw, so that the others' stamps do not depend on their number."""
    return Namespace(f"in.{institution}.")


ASSESS = Namespace("as")
TRACK = Namespace("tr")
DELIVER = Namespace("de")
OVERSEE = Namespace("ov")
PROJECT = Namespace("pr")
TIMEKEEPER = Namespace("tk")
WEBHOOK = Namespace("wh")
NAMESPACES = {"assess": ASSESS, "track": TRACK, "timekeeper": TIMEKEEPER, "deliver": DELIVER, "oversee": OVERSEE}
NAMESPACES |= {"webhook": WEBHOOK, "project": PROJECT}


def namespace_of(stage: str) -> Namespace:
    """Of a stage by its name in `all_stages` (topology.py): `assess`, `intake bank-001`."""
    name, _, institution = stage.partition(" ")
    return intake(institution) if name == "intake" else NAMESPACES[name]
