"""The stages between topics: pure decisions (`domain`), the Redis side (`state`), thin Faust shells (`agents`)."""
