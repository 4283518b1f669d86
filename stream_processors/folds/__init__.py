"""Effects of facts on a stage's own state. Pure, and from the fact alone (law 3)."""
