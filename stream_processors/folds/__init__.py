"""From a fact to what it changes of a stage's own state. Pure, and from the fact alone (law 3)."""
