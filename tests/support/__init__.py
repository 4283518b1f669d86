"""What the tests share: builders with a fixed T0, in-memory ports, and a small world of agents that can be killed and frozen."""
