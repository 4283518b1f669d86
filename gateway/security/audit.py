"""The audit log of searches and accesses (Art. 42). One JSON line for each access, to the logger `liandong.audit`.

Claims and other actions are records of the log itself (`cases.commands.v1`), with their officer.

Invariant: a line names an indicator by its token only, and is written before the response is sent.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import orjson

from gateway.http.caller import Caller

audit_log = logging.getLogger("liandong.audit")


def accessed(caller: Caller, what: str, **facts: str | int | None) -> None:
    """Writes the line. `facts` contain names, tokens and counts, never values."""
    line = {"at": datetime.now(UTC), "who": caller.subject, "role": caller.role.value, "what": what, **facts}
    audit_log.info(orjson.dumps(line, option=orjson.OPT_UTC_Z).decode())
