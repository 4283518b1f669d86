"""What several routes may be refused with: one table of sets of problems."""

from __future__ import annotations

VIEWS = ("views-rebuilding", "state-unavailable")
"""Of every route that reads the views."""
QUERY = ("invalid-request", *VIEWS)
MARKING = (*QUERY, "log-unavailable")
COMMAND = (*MARKING, "reference-reused")
"""Of every route that appends a command and waits for its outcome."""
CASE_COMMAND = (
    *(
        "unknown-case",
        "stale-revision",
        "not-holder",
        "held-by-other",
        "case-disposed",
        "transition-not-allowed",
        "too-many-deadlines",
        "action-unreadable",
    ),
    *("forbidden", *COMMAND),
)
"""Problems that any action on a case can be refused with."""
OVERSIGHT_COMMAND = ("not-found", "forbidden", "stale-revision", "transition-not-allowed", *COMMAND)
ADMISSION = ("log-unavailable", "overloaded", "state-unavailable", "request-in-progress", "reference-reused")
"""Of every route that takes one signal or retraction."""
