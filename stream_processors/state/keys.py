"""Every Redis key of the projections, in one place.

Keys are in a fixed number of hash-tag buckets, so a script's work on one touches one slot: the state could be sharded over a
cluster (store.py, SMALL). Invariant: a key's bucket follows from its name alone; a change of BUCKETS needs a rebuild (the stamp
contains both).
"""

from __future__ import annotations

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


class Namespace(NamedTuple):
    """One stage's keys: `{as3}s:k1.…`, its marks in `{as3}m`. Those of r, c, j, a, b, y, k, small ones of project's
    t, and what is the only one of its s or v lie in drawers (shared_hashes.py).

    intake:  marks alone
    assess:  r = a version of a sender's reference, c = a content, s = sightings of an indicator, k = case queues of a subject,
             v = what befell a victim, f = transfers of a suspect (with a `!` behind: what was taken back of these), d = confirmed
             cases of a subject, t = the floor of a signal (versions below it are dead; it lies beside its r), j = what a version
             added. Of leads of organized crime the names of subjects have a mark (domain/signals/leads.py): sets of their own
    track:   k = a case, u = the cases that ordered something about an account, each with how often (caps)
    deliver, webhook: their places (marks) and nothing else
    oversee: k = an appraisal, measure, data request, campaign (views/oversight.py)
    timekeeper: c = the due moments of a case, d = cases by their first moment, o = the parts that d is cut into, n = how many
             moments there are (deadline_index.py; its buckets belong to partitions)
    project: r = a receipt, x = a signal's newest retraction or correction, k = a case, q = a queue's ranking, w = its cases that
             stand alike, a = an action's outcome, t = cases of an indicator (case_refs.py), moved = cases that were transferred
             (case_refs.py), n = counters, queues and standings = the names of all q and w; of inboxes (views/inbox.py): i = a
             recipient's notices, u = those it has not received, b = what one says, y = what became of it, g = a case's
             notices, p = those that no endpoint took, h = an institution's endpoints; of scorecards (views/scorecards.py): z = a
             party's cells of a period, parties = their names; of `oversee` (views/oversight.py): o = what it keeps,
             overseen = the names of what is listed
    """

    tag: str

    def key(self, bucket: int, concern: str, name: str = "") -> str:
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
NAMESPACES = {
    "assess": ASSESS,
    "track": TRACK,
    "timekeeper": TIMEKEEPER,
    "deliver": DELIVER,
    "oversee": OVERSEE,
    "webhook": WEBHOOK,
    "project": PROJECT,
}


def namespace_of(stage: str) -> Namespace:
    """Of a stage by its name in `all_stages` (topology.py): `assess`, `intake bank-001`."""
    name, _, institution = stage.partition(" ")
    return intake(institution) if name == "intake" else NAMESPACES[name]
