"""Webhooks of institutions: `desk` (their endpoints, what was parked), `told` (how they are told). docs/webhooks.md says what an
institution may rely on.
"""
