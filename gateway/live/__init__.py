"""Live queues: changes of cases as server-sent events. `source` (what changed) -> `hub` (who wants it) -> `coalesce` (how
often) -> `stream` (the connection). docs/guide/live.md says what a client may rely on.
"""
