"""Named crash points: places at which a test kills the process, to prove that nothing is lost between two steps.

`LIANDONG_CRASH=name@n@latch` kills with SIGKILL at the n-th passing of `name`, once: the latch file that proves the hit is
written first, and while it exists the point is disarmed. With `@raise` behind, it raises instead: an agent that fails.
Unset, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

POINTS: dict[str, str] = {
    "gateway.validated": "body checked, nothing written",
    "gateway.locked": "idempotency lock taken, not in the log",
    "gateway.appended": "in the log, receipt not remembered",
    "gateway.remembered": "receipt remembered, not answered",
    "gateway.action_built": "officer's action built, not in the log",
    "gateway.action_appended": "officer's action in the log, outcome not awaited",
    "gateway.mark_built": "receipt of notices built, not in the log",
    "gateway.mark_appended": "receipt of notices in the log, not answered",
    "gateway.oversight_built": "request about a member unit built, not in the log",
    "gateway.oversight_appended": "request about a member unit in the log, outcome not awaited",
    "gateway.hook_built": "change of an institution's endpoints built, not in the log",
    "gateway.hook_appended": "change of an institution's endpoints in the log, the views not awaited",
    "gateway.replay_built": "request for parked notices once more built, not in the log",
    "gateway.replay_appended": "request for parked notices once more in the log, not answered",
    "intake.polled": "raw records read, nothing touched",
    "intake.decided": "checked and protected, nothing in the log",
    "intake.buried": "refused ones in the dead letters, no signal in the log",
    "intake.submitted": "signals in the log, their receipts not",
    "intake.recorded": "receipts in the log, marks not moved",
    "intake.folded": "marks moved, poll not completed",
    "assess.verdicts_buried": "unreadable verdicts in the dead letters, the others not folded",
    "assess.verdicts_folded": "verdicts folded, nothing of the signals touched",
    "assess.polled": "records read, nothing touched",
    "assess.claimed": "references claimed, what they replace still counts",
    "assess.cleared": "what is replaced or dead counts no more, nothing of the new added",
    "assess.observed": "sightings added and read",
    "assess.decided": "decided, nothing in the log",
    "assess.buried": "refused ones in the dead letters, no fact in the log",
    "assess.recorded": "facts in the log, joins not",
    "assess.emitted": "joins in the log, marks not moved",
    "assess.folded": "marks moved, poll not completed",
    "assess.joined": "requests to cases in the log, those to other partitions not",
    "assess.caught_up": "what facts of an earlier owner ask for in the log, marks not moved",
    "retract.polled": "retractions read, nothing touched",
    "retract.found": "floors raised, versions and their contents looked up",
    "retract.decided": "decided, nothing in the log",
    "retract.buried": "unreadable ones in the dead letters, no fact in the log",
    "retract.recorded": "facts in the log, nothing emitted",
    "retract.emitted": "retractions to cases and other partitions in the log, marks not moved",
    "retract.folded": "marks moved, poll not completed",
    "retract.freed": "a dead signal's content let go, its sightings still there",
    "track.polled": "records read, nothing touched",
    "track.observed": "cases read",
    "track.decided": "decided, nothing in the log",
    "track.buried": "unreadable ones in the dead letters, no fact in the log",
    "track.recorded": "facts in the log, not folded",
    "track.folded": "folded, poll not completed",
    "deliver.polled": "changes read, nothing touched",
    "deliver.decided": "decided, nothing in the log",
    "deliver.buried": "unreadable changes in the dead letters, no notice in the log",
    "deliver.issued": "notices in the log, what follows for other cases not",
    "deliver.followed": "requests for other cases in the log, too, marks not moved",
    "deliver.folded": "marks moved, poll not completed",
    "deliver.found": "the place is known from the log, not in Redis",
    "webhook.found": "what is pending is known from the log, places not written",
    "webhook.polled": "records read, nothing touched",
    "webhook.buried": "folded in memory, unreadable ones in the dead letters, places not moved",
    "webhook.folded": "folded and places moved, nothing new called",
    "calls.posted": "the endpoint answered, nothing in the log",
    "calls.marked": "the mark in the log, not remembered",
    "oversee.polled": "requests read, nothing touched",
    "oversee.decided": "decided, nothing in the log",
    "oversee.buried": "unreadable ones in the dead letters, no fact in the log",
    "oversee.recorded": "facts in the log, not folded",
    "oversee.folded": "folded, poll not completed",
    "project.polled": "facts read, nothing touched",
    "project.buried": "unreadable facts in the dead letters, the others not folded",
    "project.folded": "folded, who waits at an inbox not told",
    "project.told": "told, poll not completed",
    "timekeeper.polled": "facts read, nothing touched",
    "timekeeper.buried": "unreadable facts in the dead letters, the others not folded",
    "timekeeper.folded": "folded, poll not completed",
    "timekeeper.found": "what is due read, nothing asked for",
    "timekeeper.asked": "requests in the log, not remembered",
    "restore.locked": "restore lock taken, nothing folded",
    "restore.begun": "stamps say that it is being restored, nothing folded",
    "restore.folded": "one chunk of facts folded",
    "restore.stamped": "stamps set, lock still held",
}


class Raised(RuntimeError):
    """What an armed point raises when it is told to raise."""


def _armed() -> tuple[str, int, Path, bool] | None:
    text = os.environ.get("LIANDONG_CRASH")
    if not text:
        return None
    name, count, latch, *how = text.split("@")
    if name not in POINTS:
        raise ValueError(f"LIANDONG_CRASH names no crash point: {name!r}; there are {', '.join(POINTS)}")
    return None if Path(latch).exists() else (name, int(count), Path(latch), how == ["raise"])


_ARMED = _armed()
_passed = 0


def point(name: str) -> None:
    """Dies here when the environment says so."""
    if _ARMED is None or _ARMED[0] != name:
        return
    global _passed
    _passed += 1
    if _passed == _ARMED[1]:
        with _ARMED[2].open("x", encoding="utf-8") as latch:
            latch.write(f"{name} {os.getpid()}\n")
            latch.flush()
            os.fsync(latch.fileno())
        if _ARMED[3]:
            raise Raised(name)
        os.kill(os.getpid(), signal.SIGKILL)
