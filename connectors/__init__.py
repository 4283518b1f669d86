"""Connectors: one folder for each outside format, one contract (`contract.py`), one engine (`engine.py`), one client of the
gateway (`gateway_client.py`)."""
