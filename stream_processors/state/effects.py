"""Effects: the changes of a projection to the state, as data. A projection is a pure function from a fact to a list of these.

Invariant: an effect names keys of one bucket only and contains absolute values, so applying it needs no clock and no look-up.
"""

from __future__ import annotations

from typing import NamedTuple

from stream_processors.state.keys import Key, TimekeeperKey
from stream_processors.state.shared_hashes import drawer_of, short

Arg = str | int | bytes


class Effect(NamedTuple):
    """`args` is the opcode, the key without its bucket's prefix, its shared hash if any, and the operands (lua/fold.lua)."""

    bucket: int
    args: tuple[Arg, ...]


def _in_hash(op: str, key: Key, *operands: Arg) -> Effect:
    """Of a value in a shared hash."""
    text, name, bucket = key
    return Effect(bucket, (op, text, drawer_of(name), *operands))


def _in_hash_short(op: str, key: Key, *operands: Arg) -> Effect:
    """As `_in_hash`, by the short form of the name."""
    text, name, bucket = key
    in_short = short(name)
    at = text if isinstance(in_short, str) else text.removesuffix(name).encode() + in_short
    return Effect(bucket, (op, at, drawer_of(name), *operands))


def claim(key: Key, value: str, expires_ms: int) -> Effect:
    """The first claim of a key stays."""
    return _in_hash_short("claim", key, value, max(1, expires_ms))


def take(key: Key, name: str, expires_ms: int) -> Effect:
    """The first holder stays; a newer version of the same signal replaces it."""
    return _in_hash_short("take", key, short(name), max(1, expires_ms))


def release(key: Key, name: str) -> Effect:
    """Removes the key if this name holds it."""
    return _in_hash_short("release", key, short(name))


def raise_floor(key: Key, floor: int, expires_ms: int) -> Effect:
    """A number that only rises."""
    return _in_hash_short("raise", key, floor, max(1, expires_ms))


def drop(key: Key) -> Effect:
    return _in_hash_short("drop", key)


def sighting(content: str, beside: str) -> str:
    """The name of a sighting: its content, and its neighbour, if that counts (domain/signals/hubs.py)."""
    return f"{content}>{beside}" if beside else content


def see(key: Key, content: str, institution: str, occurred_ms: int, expires_ms: int) -> Effect:
    """A sighting of an indicator: a member of a set, so a repeated addition changes nothing. `content` see `sighting`."""
    return _in_hash("see", key, content, institution, occurred_ms, expires_ms)


def unsee(key: Key, content: str, institution: str, beside: str) -> Effect:
    """Removes the sighting under either of its names; the latest one of the institution, and of the neighbour, become those of
    their remaining ones."""
    return _in_hash("unsee", key, content, institution, beside)


def bury(key: Key, member: str, expires_ms: int) -> Effect:
    """Marks a member of a bounded set (`keep`) as retracted; adding it again restores it."""
    return _in_hash("bury", key, member, max(1, expires_ms))


def add(key: Key, member: str | bytes) -> Effect:
    return Effect(key.bucket, ("add", key.text, member))


def enter(key: Key, word: str, expires_ms: int) -> Effect:
    """A word of a small set with its expiry; the latest expiry counts."""
    return _in_hash("enter", key, word, max(1, expires_ms))


def put(key: Key, value: bytes, expires_ms: int) -> Effect:
    return _in_hash_short("set", key, value, max(1, expires_ms))


def put_case(key: Key, revision: int, value: bytes) -> Effect:
    """Only a newer revision replaces a case."""
    return _in_hash("case", key, revision, value)


def link(key: Key, member: bytes, until_ms: int) -> Effect:
    """A member of an index with its expiry; the latest expiry counts, so the order of arrival does not matter."""
    return _in_hash("link", key, member, max(1, until_ms))


def put_newer(key: Key, number: int, value: bytes, expires_ms: int) -> Effect:
    """Only a higher number replaces the value."""
    return Effect(key.bucket, ("newer", key.text, number, value, max(1, expires_ms)))


def rank(key: Key, score: int, member: bytes) -> Effect:
    return Effect(key.bucket, ("rank", key.text, score, member))


def stand(key: Key, revision: int, value: bytes, where: str, since_ms: int, member: bytes) -> Effect:
    """A case as `put_case`, with its set ("" for none) as `member`, and its time. If it is in the set already it keeps its
    time."""
    return _in_hash("stand", key, revision, value, where, since_ms, member)


def keep(key: Key, score: int, member: str, expires_ms: int, most: int = 0) -> Effect:
    """A member of a bounded set: the `most` of highest score stay (0: all), whatever their order of arrival."""
    return _in_hash("keep", key, score, member, most, expires_ms)


def box(key: Key, place: int, member: bytes, name: str, body: bytes, ends_ms: int) -> Effect:
    """A notice in an inbox (views/inbox_fold.py), by its position in the log; it is among the unreceived ones unless a mark says
    otherwise. The first position stays."""
    return Effect(key.bucket, ("box", key.text, place, member, drawer_of(name), name, body, max(1, ends_ms)))


def mark(key: Key, member: bytes, name: str, slot: int, at_ms: int, rank: int, tail: bytes, ends_ms: int) -> Effect:
    """A delivery state of a notice: of two in one slot the earlier stays in the first two, the later in the others, `rank`
    between equal times; so the order of arrival does not matter."""
    return Effect(key.bucket, ("mark", key.text, member, drawer_of(name), name, slot, at_ms, rank, tail, max(1, ends_ms)))


def unrank(key: Key, member: str | bytes) -> Effect:
    return Effect(key.bucket, ("unrank", key.text, member))


def settle(bucket: int, case: bytes, revision: int, first_ms: int, many: int, moments: bytes) -> Effect:
    """The due moments of the case (`brief`) at this revision: none, or the first of them and all compressed
    (state/deadline_index.py)."""
    return Effect(bucket, ("settle", f"{TimekeeperKey.MOMENTS}:".encode() + case, revision, first_ms, many, moments))


def count(key: Key, field: str, by: int = 1) -> Effect:
    """Counts once, because the watermarks let a fact be projected once."""
    return Effect(key.bucket, ("incr", key.text, field, by))


def tally(key: Key, ends_ms: tuple[int, int, int], *figures: tuple[str, int]) -> Effect:
    """Adds to figures of a party's day (views/scorecards.py), and with it to those of its month and its year, which end at
    `ends_ms`. Once because the marks let a fact be folded once. Numbers of more than 53 bits are text: Lua's are doubles."""
    figure_args = [part for name, n in figures for part in (name, n if -_EXACT < n < _EXACT else str(n))]
    return Effect(key.bucket, ("tally", key.text, *ends_ms, len(figures), *figure_args))


_EXACT = 1 << 53
