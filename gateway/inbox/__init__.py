"""Inboxes of institutions and agencies: reading, acknowledging, waiting, live connections (docs/guide/delivery.md)."""
