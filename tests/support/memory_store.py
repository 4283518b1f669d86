"""A stage's state in memory: the marks, stamps and the meaning of the three scripts (state/lua), with keys that expire.

`MemoryRedis` is the server: it outlives its clients, can be copied, rolled back (wholly or some buckets of it) and emptied.
`MemoryStore` is one process's connection to it. It keeps the contract that tests/contract/store holds over it and over Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from schemas.signals.hubs import FEWEST_PRIMARIES
from schemas.signals.retraction import name_of
from stream_processors.state.compression import unpack
from stream_processors.state.effects import Arg
from stream_processors.state.keys import BUCKETS, Key, Namespace, bucket_of
from stream_processors.state.marks import STAMP, Mark, Marks, decode
from stream_processors.state.shared_hashes import long
from stream_processors.state.store import Check, LostState, MarkMoved, Write, read_marks
from tests.support.clock import Clock

NEVER = math.inf
FAR = 1 << 50
"""So far below the institutions' latest lies that of what a subject was seen beside (state/lua/guard.lua)."""


Value = TypeVar("Value")


def marks_by_name(names: Mapping[str, Value]) -> dict[Mark, Value]:
    """Marks as a test writes them: by the names that they have in Redis, which must stay what they are."""
    return {decode(name): value for name, value in names.items()}


@dataclass
class Bucket:
    """One hash slot: its marks by their names, and its values with when they end."""

    marks: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)


class MemoryRedis:
    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.buckets = [Bucket() for _ in range(BUCKETS)]
        self.restoring = asyncio.Lock()
        self.told: list[tuple[str, bytes]] = []

    def copy(self) -> list[Bucket]:
        """A snapshot to roll back to."""
        return copy.deepcopy(self.buckets)

    def roll_back(self, to: list[Bucket], only: Iterable[int] = range(BUCKETS)) -> None:
        """As a restore from an older AOF; `only` some buckets, as after the failover of one shard."""
        for bucket in only:
            self.buckets[bucket] = copy.deepcopy(to[bucket])

    def flush(self, only: Iterable[int] = range(BUCKETS)) -> None:
        for bucket in only:
            self.buckets[bucket] = Bucket()

    def expire(self) -> None:
        for bucket in self.buckets:
            for name in [name for name, end in bucket.ends.items() if end <= self.clock.ms]:
                del bucket.values[name], bucket.ends[name]


class MemoryStore:
    """`break_connection` is what a CLIENT KILL does: it never comes back silently."""

    def __init__(self, server: MemoryRedis, namespace: Namespace) -> None:
        self.server, self.namespace = server, namespace
        self._broken = False

    def break_connection(self) -> None:
        self._broken = True

    def _alive(self) -> list[Bucket]:
        if self._broken:
            raise LostState("the connection to Redis broke; the store may have another state now")
        self.server.expire()
        return self.server.buckets

    async def open(self) -> None:
        self._alive()

    async def marks(self) -> list[Marks]:
        await asyncio.sleep(0)
        return [read_marks(bucket.marks) for bucket in self._alive()]

    async def stamps(self) -> list[str | None]:
        await asyncio.sleep(0)
        return [bucket.marks.get(STAMP) for bucket in self._alive()]

    async def set_stamp(self, stamp: str) -> None:
        await asyncio.sleep(0)
        for bucket in self._alive():
            bucket.marks[STAMP] = stamp

    async def clear(self) -> None:
        await asyncio.sleep(0)
        self._alive()[:] = [Bucket() for _ in range(BUCKETS)]

    async def call(self, script: str, stamp: str, writes: Mapping[int, Write]) -> dict[int, list[Any]]:
        """A pipeline: every bucket's script runs, also after one of them failed."""
        await asyncio.sleep(0)
        buckets, answers, lost = self._alive(), {}, []
        for number, write in writes.items():
            bucket = buckets[number]
            try:
                _guard(bucket, stamp, write)
            except LostState as error:
                lost.append(error)
                continue
            answers[number] = _SCRIPTS[script](_Keys(bucket, self.server.clock.ms), list(write.args))
        if lost:
            raise lost[0]
        await asyncio.sleep(0)
        return answers

    async def cases(self, stamp: str, case_ids: Sequence[str]) -> list[bytes | None]:
        await asyncio.sleep(0)
        buckets = self._alive()
        if any(buckets[bucket_of(name)].marks.get(STAMP) != stamp for name in case_ids):
            raise LostState("a stamp disappeared while cases were read")
        found = [buckets[bucket_of(name)].values.get(f"k:{name}", {}).get("case") for name in case_ids]
        return [None if raw is None else unpack(raw) for raw in found]

    async def scores(self, stamp: str, keys: Sequence[Key]) -> list[dict[bytes, int]]:
        await asyncio.sleep(0)
        buckets = self._alive()
        if any(buckets[bucket].marks.get(STAMP) != stamp for bucket in {key.bucket for key in keys}):
            raise LostState("a stamp disappeared while sets were read")
        return [dict(buckets[key.bucket].values.get(key.text, {})) for key in keys]

    async def tell(self, channel: str, message: bytes) -> None:
        self._alive()
        self.server.told.append((channel, message))

    @contextlib.asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        async with self.server.restoring:
            yield


def _guard(bucket: Bucket, stamp: str, write: Write) -> None:
    if bucket.marks.get(STAMP) != stamp:
        raise LostState(f"LOST stamp {bucket.marks.get('stamp')}")
    for mark, expected in write.checks.items():
        found = bucket.marks.get(mark.encode(), "0")
        if not _stands(found, expected):
            raise MarkMoved(f"STALE {mark.encode()} is {found}, not {expected}")
    bucket.marks.update({mark.encode(): str(value) for mark, value in write.sets.items()})
    if write.stamp is not None:
        bucket.marks[STAMP] = write.stamp


def _stands(found: str, expected: Check) -> bool:
    if isinstance(expected, tuple):
        return found.isdecimal() and expected[0] <= int(found) <= expected[1]
    return found == str(expected)


class _Keys:
    """The commands that the scripts use, on one bucket."""

    def __init__(self, bucket: Bucket, now: int) -> None:
        self.values, self.ends, self.now = bucket.values, bucket.ends, now

    def drop_if_over(self, key: str) -> None:
        if self.ends.get(key, NEVER) <= self.now:
            self.values.pop(key, None)
            self.ends.pop(key, None)

    def live_until(self, key: str, expires: int) -> None:
        if key not in self.ends or self.ends[key] < expires:
            self.ends[key] = expires
        self.drop_if_over(key)

    def set(self, key: str, value: Arg, expires: int) -> None:
        self.values[key], self.ends[key] = _bytes(value), expires
        self.drop_if_over(key)

    def claim(self, key: str, value: Arg, expires: int) -> bytes:
        if key in self.values:
            return bytes(self.values[key])
        self.set(key, value, expires)
        return b""

    def put(self, key: str, score: int, member: str, most: int, expires: int) -> dict[str, int]:
        kept: dict[str, int] = self.values.setdefault(key, {})
        kept[member] = max(score, kept.get(member, score))
        if most:
            for _, lowest in sorted((at, name) for name, at in kept.items())[:-most]:
                del kept[lowest]
        self.live_until(key, expires)
        if f"{key}!" in self.values:
            if member in self.values[f"{key}!"]:
                self.values[f"{key}!"].remove(member)
                self.values[f"{key}!"].add(f"~{member}")
            self.live_until(f"{key}!", expires)
        return kept

    def unput(self, key: str, member: str) -> None:
        gone: set[str] = self.values.get(f"{key}!", set())
        if f"~{member}" in gone:
            gone.remove(f"~{member}")
            gone.add(member)
        if member not in gone:
            self.values.get(key, {}).pop(member, None)

    def bury(self, key: str, member: str, expires: int) -> None:
        self.values.setdefault(f"{key}!", set()).add(member)
        self.values[f"{key}!"].discard(f"~{member}")
        self.live_until(f"{key}!", max(expires, int(self.ends.get(key, 0))))

    def counting(self, key: str) -> dict[str, int]:
        """The members of a bounded set but for those that were taken back."""
        gone = self.values.get(f"{key}!", set())
        return {member: score for member, score in self.values.get(key, {}).items() if member not in gone}

    def see(self, key: str, content: str, institution: str, occurred: int, expires: int) -> dict[str, int]:
        seen: dict[str, int] = self.values.setdefault(key, {})
        seen[f"s{institution}|{content}"] = min(seen.get(f"s{institution}|{content}", occurred), occurred)
        seen[f"i{institution}"] = min(seen.get(f"i{institution}", -occurred), -occurred)
        if beside := content.partition(">")[2]:
            seen[f"p{beside}"] = min(seen.get(f"p{beside}", 0), -FAR - occurred)
        self.live_until(key, expires)
        return seen

    def words(self, key: str) -> list[bytes]:
        """The words of a small set that have not ended."""
        return sorted(word for word, ends in self.values.get(key, {}).items() if ends > self.now)

    def stand(self, key: str, revision: int, value: Arg, where: str, since: int, member: bytes) -> None:
        row = self.values.setdefault(key, {})
        if row.get("rev", 0) >= revision:
            return
        if row.get("at") != where:
            if row.get("at"):
                self.values.get(row["at"], {}).pop(member, None)
            if where:
                self.values.setdefault(where, {})[member] = since
        row.update({"rev": revision, "case": _bytes(value), "at": where})

    def box(self, key: str, place: int, member: bytes, _: int, name: str, body: bytes, ends: int) -> None:
        if ends <= self.now:
            return
        unread = f"u:{key.partition(':')[2]}"
        kept: dict[bytes, int] = self.values.setdefault(key, {})
        if member not in kept:
            kept[member] = place
            state = self.values.get(f"y:{name}", bytes(48))
            self._no_longer_waits(unread, member, name)
            if not any(state[:6]) and not any(state[12:18]):
                self.values.setdefault(unread, {})[member] = place
                self.live_until(unread, ends)
            self.set(f"b:{name}", body, ends)
        self.live_until(key, ends)
        for oldest in sorted(kept, key=lambda one: (kept[one], one))[:2]:
            if int.from_bytes(oldest[12:], "big") <= self.now:
                del kept[oldest]
                self.values.get(unread, {}).pop(oldest, None)

    def _no_longer_waits(self, key: str, member: bytes, name: str) -> None:
        """A notice that was issued before waits with the end that its body has."""
        if f"b:{name}" in self.values:
            self.values.get(key, {}).pop(member[:12] + int(self.ends[f"b:{name}"]).to_bytes(6, "big"), None)

    def mark(self, key: str, member: bytes, _: int, name: str, slot: int, when: int, rank: int, tail: bytes, ends: int) -> None:
        own = f"y:{name}"
        state, stood = self.values.get(own, bytes(48)), int(self.ends.get(own, 0))
        slots = [state[at : at + 12] for at in range(0, 48, 12)]
        new, rest = when.to_bytes(6, "big") + rank.to_bytes(6, "big"), state[48:]
        if not any(slots[slot][:6]) or (new < slots[slot] if slot < 2 else new > slots[slot]):
            slots[slot], rest = new, tail if slot == 2 else rest
        if slot < 2:
            self.values.get(key, {}).pop(member, None)
            self._no_longer_waits(key, member, name)
        self.set(own, b"".join(slots) + _bytes(rest), max(stood, ends))

    def unsee(self, key: str, content: str, institution: str, beside: str) -> None:
        seen: dict[str, int] = self.values.get(key, {})
        for one in (content, f"{content}>{beside}"):
            if seen.pop(f"s{institution}|{one}", None) is not None:
                self._relatest(seen, f"i{institution}", 0, lambda member: member.startswith(f"s{institution}|"))
                if one != content:
                    self._relatest(seen, f"p{beside}", FAR, lambda member: member.endswith(f">{beside}"))

    @staticmethod
    def _relatest(seen: dict[str, int], name: str, low: int, fits: Callable[[str], bool]) -> None:
        left = [score for member, score in seen.items() if member[0] == "s" and fits(member)]
        seen.pop(name)
        if left:
            seen[name] = -low - max(left)

    def number(self, key: str) -> int:
        return int(self.values.get(key, b"0"))

    def take(self, key: str, name: str, expires: int) -> bytes:
        if key in self.values:
            held = bytes(self.values[key])
            (other, older), (signal, version) = _parts(held.decode()), _parts(name)
            if other != signal or older >= version:
                return held
        self.set(key, name, expires)
        return b""

    def settle(self, key: bytes, revision: int, first: int, many: int, moments: bytes) -> None:
        """An entry as Redis has it; the order follows from the entries (`_ripe`)."""
        entry = self.values.get(key)
        known, before = (int.from_bytes(entry[:4], "big"), entry[10]) if entry else (-1, 0)
        if known >= revision:
            return
        if many:
            self.values[key] = revision.to_bytes(4, "big") + first.to_bytes(6, "big") + bytes([many]) + moments
        else:
            self.values.pop(key, None)
        if many != before:
            counters = self.values.setdefault("n", {})
            counters["open"] = counters.get("open", 0) + many - before

    def tally(self, key: str, ends: list[int], figures: dict[str, int]) -> None:
        head, day, party = key[:4], key[4:14], key[15:]
        for length, end in zip((10, 7, 4), ends, strict=True):
            name = f"{head}{day[:length]}:{party}"
            cells = self.values.setdefault(name, {})
            for figure, n in figures.items():
                cells[figure] = cells.get(figure, 0) + n
                if not cells[figure]:
                    del cells[figure]
            if cells:
                self.ends[name] = end
            else:
                del self.values[name]
                self.ends.pop(name, None)
            self.drop_if_over(name)
        self.values.setdefault("parties", set()).add(_bytes(head[2] + party))

    def rise(self, key: str, floor: int, expires: int) -> None:
        if floor >= self.number(key):
            self.values[key] = _bytes(floor)
            self.live_until(key, expires)


def _parts(name: str) -> tuple[str, int]:
    signal, _, version = name.partition("/")
    return signal, int(version or 1)


def _claim(keys: _Keys, args: list[Any]) -> list[Any]:
    out: list[Any] = []
    while args:
        signal, _, version, value, expires = (args.pop(0) for _ in range(5))
        signal = long(_bytes(signal))
        floor = keys.number(f"t:{signal}")
        older = [keys.values.get(f"j:{name_of(signal, one)}") for one in range(1, version)]
        if version > max(1, floor):
            keys.rise(f"t:{signal}", version, expires)
        claimed = keys.claim(f"r:{name_of(signal, version)}", value, expires)
        out += [claimed, floor, [one for one in older if one is not None]]
    return out


def _withdraw(keys: _Keys, args: list[Any]) -> list[Any]:
    out: list[Any] = []
    while args:
        op, first = args.pop(0), args.pop(0)
        if op in "fpux":
            args.pop(0)  # its drawer
        second, third = args.pop(0), args.pop(0)
        if op in "fp":
            first = long(_bytes(first))
        if op == "u":
            keys.unsee(f"s:{first}", second, third, args.pop(0))
            out.append(1)
        elif op == "x":
            if third > 0:
                keys.bury(first, second, third)
            else:
                keys.unput(first, second)
            out.append(1)
        elif op == "p":
            holder = keys.values.get(f"c:{first}", b"")
            if holder == _bytes(long(_bytes(second))):
                holder = b""
                if third:
                    del keys.values[f"c:{first}"], keys.ends[f"c:{first}"]
            out.append(holder)
        else:
            if second > 0:
                keys.rise(f"t:{first}", second, third)
            found: list[Any] = [keys.number(f"t:{first}")]
            for version in range(1, args.pop(0) + 1):
                name = name_of(first, version)
                holder, standing = keys.values.get(f"r:{name}", b""), keys.values.get(f"j:{name}", b"")
                found += [version, holder, standing] if holder or standing else []
            out.append(found)
    return out


def _observe(keys: _Keys, args: list[Any]) -> list[Any]:
    out: list[Any] = []
    while args:
        if args[0] == "c":
            _, content, _, signal, expires, subject, _ = (args.pop(0) for _ in range(7))
            content, signal = long(_bytes(content)), long(_bytes(signal))
            out += [keys.take(f"c:{content}", signal, expires), keys.words(f"k:{subject}")]
            continue
        form = args.pop(0)
        given = [args.pop(0) for _ in range({"s": 10, "v": 10, "f": 12}[form])]
        out += {"s": _suspect, "v": _victim, "f": _flow}[form](keys, *given)
    return out


def _suspect(
    keys: _Keys,
    token: str,
    _: int,
    content: str,
    who: str,
    occurred: Any,
    start: Any,
    trim: int,
    expires: int,
    at: Any,
    queues: int,
) -> list[Any]:
    since, now = int(start), int(at)
    if content:
        keys.see(f"s:{token}", content, who, int(occurred), expires)
    seen = keys.values.get(f"s:{token}", {})
    size = len(seen)
    if size > 64:
        for member in [member for member, score in seen.items() if abs(score) % FAR <= trim]:
            del seen[member]
    confirmed = sum(until > now for until in keys.values.get(f"d:{token}", {}).values())
    sightings = sum(score > since for score in seen.values())
    institutions = sum(-FAR < score < -since for score in seen.values())
    primaries = sum(score < -FAR - since for score in seen.values()) if size > 2 * FEWEST_PRIMARIES else 0
    return [sightings, institutions, confirmed, primaries, keys.words(f"k:{token}") if queues else []]


def _victim(
    keys: _Keys,
    token: str,
    _: int,
    member: str,
    at: int,
    before: int,
    wanted: str,
    earliest: int,
    latest: int,
    most: int,
    end: int,
) -> list[int]:
    if member:
        keys.put(f"v:{token}", at, member, most, end)
    marks = keys.counting(f"v:{token}")
    gaps = [abs(score - at) for name, score in marks.items() if name[0] == wanted and earliest <= score <= latest]
    return [sum(score <= before for score in marks.values()), min(gaps, default=-1)]


def _flow(keys: _Keys, token: str, way: str, other: str, at: int, *rest: Any) -> list[int]:
    window, passing, lowest, highest, currency, member, most, end = rest
    if member:
        keys.put(f"f:{token}", at, member, most, end)
    pairs: list[str] = []
    ends: set[str] = set()
    gaps: list[int] = []
    for name, score in keys.counting(f"f:{token}").items():
        one, who, money = name[1:12], name[12:20], name[31:]
        gap = at - score if way == "o" else score - at
        if name[0] == way and abs(gap) < window:
            ends.add(one)
            pairs += [who] * (one == other)
        if name[0] != way and one != other and money.lstrip("0123456789") == currency and 0 <= gap <= passing:
            amount = int(money[: len(money) - len(currency)])
            gaps += [gap] * (lowest <= amount <= highest)
    return [max((pairs.count(who) for who in pairs), default=0), len(ends), min(gaps, default=-1)]


def _ripe(keys: _Keys, args: list[Any]) -> list[Any]:
    behind, until, most = args
    places = [(entry[4:10] + key[2:], entry) for key, entry in keys.values.items() if isinstance(key, bytes)]
    due = sorted(one for one in places if one[0] > behind and one[0][:6] <= until.to_bytes(6, "big"))
    return [keys.values.get("n", {}).get("open", 0), *(part for one in due[:most] for part in one)]


def _fold(keys: _Keys, args: list[Any]) -> list[Any]:
    while args:
        op, key = args.pop(0), args.pop(0)
        if op in _LODGED:
            args.pop(0)  # its drawer
        given = [args.pop(0) for _ in range(_OPERANDS[op])]
        if isinstance(key, bytes) and op in _LODGED:
            key = key[:2].decode() + long(key[2:])
        if op in ("take", "release"):
            given[0] = long(_bytes(given[0]))
        if op == "tally":
            keys.tally(key, given[:3], {args.pop(0): int(args.pop(0)) for _ in range(given[3])})
        if op == "claim":
            keys.claim(key, given[0], given[1])
        elif op == "take":
            keys.take(key, given[0], given[1])
        elif op == "release":
            if keys.values.get(key) == _bytes(given[0]):
                del keys.values[key], keys.ends[key]
        elif op == "raise":
            keys.rise(key, given[0], given[1])
        elif op == "drop":
            keys.values.pop(key, None)
            keys.ends.pop(key, None)
        elif op == "bury":
            keys.bury(key, given[0], given[1])
        elif op == "unsee":
            keys.unsee(key, *given)
        elif op == "newer":
            if keys.values.get(key, {}).get("rev", 0) < given[0]:
                keys.values[key] = {"rev": given[0], "text": _bytes(given[1])}
            keys.live_until(key, given[2])
        elif op == "see":
            keys.see(key, *given)
        elif op == "add":
            keys.values.setdefault(key, set()).add(_bytes(given[0]))
        elif op == "enter":
            words = keys.values.setdefault(key, {})
            words[_bytes(given[0])] = max(words.get(_bytes(given[0]), 0), given[1])
            keys.live_until(key, given[1])
        elif op == "set":
            keys.set(key, given[0], given[1])
        elif op == "case":
            if keys.values.get(key, {}).get("rev", 0) < given[0]:
                keys.values.setdefault(key, {}).update({"rev": given[0], "case": _bytes(given[1])})
        elif op == "link":
            linked = keys.values.setdefault(key, {})
            linked[given[0]] = max(linked.get(given[0], 0), given[1])
            keys.live_until(key, given[1])
        elif op == "stand":
            keys.stand(key, *given)
        elif op == "rank":
            keys.values.setdefault(key, {})[given[1]] = given[0]
        elif op == "keep":
            keys.put(key, given[0], given[1], given[2], given[3])
        elif op == "box":
            keys.box(key, *given)
        elif op == "mark":
            keys.mark(key, *given)
        elif op == "unrank":
            keys.values.get(key, {}).pop(given[0], None)
        elif op == "settle":
            keys.settle(key, *given)
        elif op == "incr":
            counters = keys.values.setdefault(key, {})
            counters[given[0]] = counters.get(given[0], 0) + given[1]
    return [1]


_OPERANDS = {
    "claim": 2,
    "take": 2,
    "release": 1,
    "raise": 2,
    "drop": 0,
    "see": 4,
    "unsee": 3,
    "add": 1,
    "enter": 2,
    "set": 2,
    "case": 2,
    "newer": 3,
    "link": 2,
    "rank": 2,
    "stand": 5,
    "keep": 4,
    "bury": 2,
    "box": 6,
    "mark": 8,
    "unrank": 1,
    "settle": 4,
    "incr": 2,
    "tally": 4,
}
_LODGED = {
    *("claim", "take", "release", "raise", "drop", "see", "unsee", "keep", "bury", "enter", "set", "case", "link", "stand"),
}
_SCRIPTS = {"claim": _claim, "withdraw": _withdraw, "observe": _observe, "fold": _fold, "ripe": _ripe}


def _bytes(value: Arg) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
