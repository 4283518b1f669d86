"""The audit log: who looked for what, and who read it (Art. 42). One JSON line an access, to the logger `liandong.audit`.

A claim and the other moves are records of the log itself (`cases.commands.v1`), with their officer.

Invariant: a line names an indicator by its token alone, and it is written before the answer is sent.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import orjson

from gateway.security.auth import Caller

audit_log = logging.getLogger("liandong.audit")


def accessed(caller: Caller, what: str, **facts: str | int | None) -> None:
    """Writes the line. `facts` hold names, tokens and counts, never values."""
    line = {"at": datetime.now(UTC), "who": caller.subject, "role": caller.role.value, "what": what, **facts}
    audit_log.info(orjson.dumps(line, option=orjson.OPT_UTC_Z).decode())
