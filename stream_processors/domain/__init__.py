"""Pure decisions: no I/O, no clock, no Faust. Each takes facts, state, policy and `now`, and returns a decision."""
