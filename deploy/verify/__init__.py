"""Proof from outside: the sender's ledger, an oracle that computes from it alone, and `liandong verify`."""
