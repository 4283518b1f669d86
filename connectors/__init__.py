"""One folder an outside form; one contract (`port.py`), one engine (`feed.py`), one way in (`gateway.py`)."""
