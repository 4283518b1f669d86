"""Proof from outside: the sender's ledger, the receipts, and `liandong verify`."""
