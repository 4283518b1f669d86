"""Live queues: changes of cases as server-sent events. `source` (changes) -> `hub` (clients) -> `coalesce` (rate) -> `stream`
(connection). See docs/guide/live.md."""
