"""Contracts for others, made from the code, committed in docs/contracts, and compared with the code and with the last release."""
