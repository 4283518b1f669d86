"""Webhooks of institutions: `desk` (their endpoints, what was parked), `told` (how they are told). docs/guide/webhooks.md
says what an institution may rely on.
"""
