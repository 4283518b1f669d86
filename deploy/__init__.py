"""How Liandong is started, tested and measured: the CLI, the local launcher, the demo and the proofs."""
