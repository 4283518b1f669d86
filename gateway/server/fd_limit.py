"""How many connections the machine lets a gateway have: each is an open file, and so are those of its own.

Invariant: what is over the limit of connections is refused by us, in words, and never by the system: then nobody could be let in,
and the broker and Redis could not be reached either.
"""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger("liandong.gateway")

OWN_FILES = 256
"""File descriptors reserved for the broker, Redis, keys, logs and connections that are being refused."""


def room(requested: int) -> int:
    """So many of the wanted connections fit. The limit of open files is raised for them as far as that is allowed."""
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
