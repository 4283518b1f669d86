"""Webhooks of institutions: endpoints and parked notices (docs/guide/webhooks.md)."""
