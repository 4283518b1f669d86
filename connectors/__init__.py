"""One folder an outside form; one contract (`contract.py`), one engine (`engine.py`), one way in (`gateway_client.py`)."""
