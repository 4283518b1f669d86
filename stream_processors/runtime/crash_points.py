"""Named crash points: places at which a test kills the process, to prove that nothing is lost between two steps.

`LIANDONG_CRASH=name@n@latch` kills with SIGKILL at the n-th passing of `name`, once: the latch file that proves the hit is
written first, and while it exists the point is disarmed. With the suffix `@raise` it raises instead: an agent that fails. Unset,
a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

POINTS: dict[str, str] = {
    "gateway.validated": "request body validated, nothing written",
    "gateway.locked": "idempotency lock taken, nothing in the log",
    "gateway.appended": "signal in the log, receipt not remembered",
    "gateway.remembered": "receipt remembered, response not sent",
    "gateway.action_built": "action built, not in the log",
    "gateway.action_appended": "action in the log, outcome not awaited",
    "gateway.mark_built": "delivery marks built, not in the log",
    "gateway.mark_appended": "delivery marks in the log, response not sent",
    "gateway.oversight_built": "oversight action built, not in the log",
    "gateway.oversight_appended": "oversight action in the log, outcome not awaited",
    "gateway.hook_built": "change of endpoints built, not in the log",
    "gateway.hook_appended": "change of endpoints in the log, views not awaited",
    "gateway.replay_built": "request to redeliver parked notices built, not in the log",
    "gateway.replay_appended": "request to redeliver parked notices in the log, response not sent",
    "intake.polled": "raw records read, nothing changed",
    "intake.decided": "raw records validated and sealed, nothing in the log",
    "intake.buried": "refused records in the dead letters, no signal in the log",
    "intake.submitted": "signals in the log, receipts not written",
    "intake.recorded": "receipts in the log, watermarks not moved",
    "intake.folded": "watermarks moved, poll not completed",
    "assess.verdicts_buried": "unreadable verdicts in the dead letters, other verdicts not projected",
    "assess.verdicts_folded": "verdicts projected, no signal processed",
    "assess.polled": "records read, nothing changed",
    "assess.claimed": "references claimed, replaced versions still count",
    "assess.cleared": "replaced and retracted versions removed, new signals not added",
    "assess.observed": "sightings added and read",
    "assess.decided": "decisions made, nothing in the log",
    "assess.buried": "refused records in the dead letters, no fact in the log",
    "assess.recorded": "facts in the log, joins not written",
    "assess.emitted": "joins in the log, watermarks not moved",
    "assess.folded": "watermarks moved, poll not completed",
    "assess.joined": "requests to cases in the log, requests to other partitions not written",
    "assess.caught_up": "emissions of an earlier owner's facts in the log, watermarks not moved",
    "retract.polled": "retractions read, nothing changed",
    "retract.found": "floors raised, versions and their contents read",
    "retract.decided": "decisions made, nothing in the log",
    "retract.buried": "unreadable records in the dead letters, no fact in the log",
    "retract.recorded": "facts in the log, nothing emitted",
    "retract.emitted": "retractions to cases and other partitions in the log, watermarks not moved",
    "retract.folded": "watermarks moved, poll not completed",
    "retract.freed": "content of a retracted signal released, its sightings not removed",
    "track.polled": "records read, nothing changed",
    "track.observed": "cases read",
    "track.decided": "decisions made, nothing in the log",
    "track.buried": "unreadable records in the dead letters, no fact in the log",
    "track.recorded": "facts in the log, not projected",
    "track.folded": "facts projected, poll not completed",
    "deliver.polled": "changes read, nothing changed",
    "deliver.decided": "decisions made, nothing in the log",
    "deliver.buried": "unreadable changes in the dead letters, no notice in the log",
    "deliver.issued": "notices in the log, follow-up actions for other cases not written",
    "deliver.followed": "follow-up actions in the log, watermarks not moved",
    "deliver.folded": "watermarks moved, poll not completed",
    "deliver.found": "position found in the log, not written to Redis",
    "webhook.found": "pending deliveries found in the log, positions not written",
    "webhook.polled": "records read, nothing changed",
    "webhook.buried": "records projected in memory, unreadable ones in the dead letters, positions not moved",
    "webhook.folded": "records projected and positions moved, no new call started",
    "calls.posted": "endpoint answered, nothing in the log",
    "calls.marked": "delivery mark in the log, not remembered",
    "oversee.polled": "requests read, nothing changed",
    "oversee.decided": "decisions made, nothing in the log",
    "oversee.buried": "unreadable records in the dead letters, no fact in the log",
    "oversee.recorded": "facts in the log, not projected",
    "oversee.folded": "facts projected, poll not completed",
    "project.polled": "facts read, nothing changed",
    "project.buried": "unreadable facts in the dead letters, other facts not projected",
    "project.folded": "facts projected, waiting inbox requests not notified",
    "project.told": "waiting inbox requests notified, poll not completed",
    "timekeeper.polled": "facts read, nothing changed",
    "timekeeper.buried": "unreadable facts in the dead letters, other facts not projected",
    "timekeeper.folded": "facts projected, poll not completed",
    "timekeeper.found": "due moments read, nothing requested",
    "timekeeper.asked": "requests in the log, not remembered",
    "restore.locked": "restore lock taken, nothing projected",
    "restore.begun": "stamps mark the restore, nothing projected",
    "restore.folded": "one chunk of facts projected",
    "restore.stamped": "stamps set, lock still held",
}


class Raised(RuntimeError):
    """What an armed point raises when it is told to raise."""


def _read_armed() -> tuple[str, int, Path, bool] | None:
    text = os.environ.get("LIANDONG_CRASH")
    if not text:
        return None
    name, count, latch, *how = text.split("@")
    if name not in POINTS:
        raise ValueError(f"LIANDONG_CRASH names an unknown crash point: {name!r}; known points: {', '.join(POINTS)}")
    return None if Path(latch).exists() else (name, int(count), Path(latch), how == ["raise"])


_ARMED = _read_armed()
_passed = 0


def point(name: str) -> None:
    """Kills the process here if the environment says so."""
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
