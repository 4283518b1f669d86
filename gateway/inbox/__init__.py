"""Inboxes of institutions and agencies: `desk` (what is new, received, acknowledged), `bell` (who waits, and is woken), `stream`
(a live connection), `told` (a notice in clear words), `cursor`. docs/guide/delivery.md says what a recipient may rely on.
"""
