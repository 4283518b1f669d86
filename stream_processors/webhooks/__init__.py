"""Signed webhooks: orders and early warnings for institutions with endpoints (docs/guide/webhooks.md).

Everything but `http_client` is pure; it alone touches the network.
"""
