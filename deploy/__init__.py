"""Starts, tests and measures Liandong: the CLI, the local launcher, the demo and the verification."""
