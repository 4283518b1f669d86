"""The number of connections that the machine allows: each is an open file, beside the gateway's own.

Invariant: the gateway refuses excess connections with a message, before the system does: the system would admit nobody, and would
block the broker and Redis, too.
"""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger("liandong.gateway")

OWN_FILES = 256
"""File descriptors reserved for the broker, Redis, keys, logs and connections that are being refused."""


def room(requested: int) -> int:
    """Returns how many of the wanted connections fit. It raises the limit of open files for them as far as permitted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = requested + OWN_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return requested
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (ValueError, OSError):  # macOS allows less than its hard limit says
        raised = soft
    allowed = max(1, min(requested, raised - OWN_FILES))
    if allowed < requested:
        logger.warning("%d connections at most, not %d: only %d files may be open (ulimit -n)", allowed, requested, raised)
    return allowed
