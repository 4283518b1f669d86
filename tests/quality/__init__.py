"""What `make quality` measures of the code, and the limits that tests/unit/test_quality.py holds."""
