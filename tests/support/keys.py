"""Keys as a test writes them: by the text that they have in Redis, which must stay what it is."""

from __future__ import annotations

from stream_processors.state.keys import Key


def key_at(bucket: int, text: str) -> Key:
    """`s:k1.abc`: how the keys of a concern begin, and a name; or that alone."""
    return Key(text, text.partition(":")[2], bucket)
