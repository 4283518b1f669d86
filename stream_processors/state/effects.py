"""Effects: the changes of a projection to the state, as data. A projection is a pure function from a fact to a list of these.

Invariant: an effect names keys of one bucket only and contains absolute values, so applying it needs no clock and no look-up.
"""

from __future__ import annotations

from typing import NamedTuple

from stream_processors.state.shared_hashes import drawer_of, short

Arg = str | int | bytes


class Effect(NamedTuple):
    """`args` is the opcode, the key without its bucket's prefix, its shared hash if any, and the operands (lua/fold.lua)."""

    bucket: int
    args: tuple[Arg, ...]


def _lodged(bucket: int, op: str, key: str, *operands: Arg) -> Effect:
    """A value in a shared hash; the key is its concern's letter, a colon and its name."""
    return Effect(bucket, (op, key, drawer_of(key[2:]), *operands))


def _named(bucket: int, op: str, key: str, *operands: Arg) -> Effect:
    """As `_lodged`, by the short form of the name."""
    name = short(key[2:])
    at = key if isinstance(name, str) else key[:2].encode() + name
    return Effect(bucket, (op, at, drawer_of(key[2:]), *operands))


def claim(bucket: int, key: str, value: str, expires_ms: int) -> Effect:
    """The first claim of a key stays."""
    return _named(bucket, "claim", key, value, max(1, expires_ms))


def take(bucket: int, key: str, name: str, expires_ms: int) -> Effect:
    """The first holder stays; a newer version of the same signal replaces it."""
    return _named(bucket, "take", key, short(name), max(1, expires_ms))


def release(bucket: int, key: str, name: str) -> Effect:
    """Removes the key if this name holds it."""
    return _named(bucket, "release", key, short(name))


def raise_floor(bucket: int, key: str, floor: int, expires_ms: int) -> Effect:
    """A number that only rises."""
    return _named(bucket, "raise", key, floor, max(1, expires_ms))


def drop(bucket: int, key: str) -> Effect:
    return _named(bucket, "drop", key)


def sighting(content: str, beside: str) -> str:
    """The name of a sighting: its content, and its neighbour, if that counts (domain/signals/hubs.py)."""
    return f"{content}>{beside}" if beside else content


def see(bucket: int, token: str, content: str, institution: str, occurred_ms: int, expires_ms: int) -> Effect:
    """A sighting of an indicator: a member of a set, so a repeated addition changes nothing. `content` see `sighting`."""
    return _lodged(bucket, "see", f"s:{token}", content, institution, occurred_ms, expires_ms)


def unsee(bucket: int, token: str, content: str, institution: str, beside: str) -> Effect:
    """Removes the sighting under either of its names; the latest one of the institution, and of the neighbour, become those of
    their remaining ones."""
    return _lodged(bucket, "unsee", f"s:{token}", content, institution, beside)


def bury(bucket: int, key: str, member: str, expires_ms: int) -> Effect:
    """Marks a member of a bounded set (`keep`) as retracted; adding it again restores it."""
    return _lodged(bucket, "bury", key, member, max(1, expires_ms))


def add(bucket: int, key: str, member: str | bytes) -> Effect:
    return Effect(bucket, ("add", key, member))


def enter(bucket: int, key: str, word: str, expires_ms: int) -> Effect:
    """A word of a small set with its expiry; the latest expiry counts."""
    return _lodged(bucket, "enter", key, word, max(1, expires_ms))


def put(bucket: int, key: str, value: bytes, expires_ms: int) -> Effect:
    return _named(bucket, "set", key, value, max(1, expires_ms))


def put_case(bucket: int, key: str, revision: int, value: bytes) -> Effect:
    """Only a newer revision replaces a case."""
    return _lodged(bucket, "case", key, revision, value)


def link(bucket: int, key: str, member: bytes, until_ms: int) -> Effect:
    """A member of an index with its expiry; the latest expiry counts, so the order of arrival does not matter."""
    return _lodged(bucket, "link", key, member, max(1, until_ms))


def put_newer(bucket: int, key: str, number: int, value: bytes, expires_ms: int) -> Effect:
    """Only a higher number replaces the value."""
    return Effect(bucket, ("newer", key, number, value, max(1, expires_ms)))


def rank(bucket: int, key: str, score: int, member: bytes) -> Effect:
    return Effect(bucket, ("rank", key, score, member))


def stand(bucket: int, key: str, revision: int, value: bytes, where: str, since_ms: int, member: bytes) -> Effect:
    """A case as `put_case`, with its set ("" for none) as `member`, and its time. If it is in the set already it keeps its
    time."""
    return _lodged(bucket, "stand", key, revision, value, where, since_ms, member)


def keep(bucket: int, key: str, score: int, member: str, expires_ms: int, most: int = 0) -> Effect:
    """A member of a bounded set: the `most` of highest score stay (0: all), whatever their order of arrival."""
    return _lodged(bucket, "keep", key, score, member, most, expires_ms)


def box(bucket: int, key: str, place: int, member: bytes, name: str, body: bytes, ends_ms: int) -> Effect:
    """A notice in an inbox (views/inbox_fold.py), by its position in the log; it is among the unreceived ones unless a mark says
    otherwise. The first position stays."""
    return Effect(bucket, ("box", key, place, member, drawer_of(name), name, body, max(1, ends_ms)))


def mark(bucket: int, key: str, member: bytes, name: str, slot: int, at_ms: int, rank: int, tail: bytes, ends_ms: int) -> Effect:
    """A delivery state of a notice: of two in one slot the earlier stays in the first two, the later in the others, `rank`
    between equal times; so the order of arrival does not matter."""
    return Effect(bucket, ("mark", key, member, drawer_of(name), name, slot, at_ms, rank, tail, max(1, ends_ms)))


def unrank(bucket: int, key: str, member: str | bytes) -> Effect:
    return Effect(bucket, ("unrank", key, member))


def settle(bucket: int, case: bytes, revision: int, first_ms: int, many: int, moments: bytes) -> Effect:
    """The due moments of the case (`brief`) at this revision: none, or the first of them and all compressed
    (state/deadline_index.py)."""
    return Effect(bucket, ("settle", b"c:" + case, revision, first_ms, many, moments))


def count(bucket: int, key: str, field: str, by: int = 1) -> Effect:
    """Counts once, because the watermarks let a fact be projected once."""
    return Effect(bucket, ("incr", key, field, by))


def tally(bucket: int, key: str, ends_ms: tuple[int, int, int], *figures: tuple[str, int]) -> Effect:
    """Adds to figures of a party's day (views/scorecards.py), and with it to those of its month and its year, which end at
    `ends_ms`. Once because the marks let a fact be folded once. Numbers of more than 53 bits are text: Lua's are doubles."""
    figure_args = [part for name, n in figures for part in (name, n if -_EXACT < n < _EXACT else str(n))]
    return Effect(bucket, ("tally", key, *ends_ms, len(figures), *figure_args))


_EXACT = 1 << 53
