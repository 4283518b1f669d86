"""Keccak-256, which Ethereum uses and the standard library lacks (its SHA3-256 pads differently).

Invariant: pure; the digest of the empty text begins with c5d24601.
"""

from __future__ import annotations

_RATE = 136
_WORD = (1 << 64) - 1


def _tables() -> tuple[list[int], list[int], list[int]]:
    """The constants of the 24 rounds, the rotations of the lanes and their order, by their recurrences."""
    rounds, register = [], 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << ((1 << power) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        rounds.append(constant)
    turns, order, x, y = [], [], 1, 0
    for step in range(24):
        order.append(x + 5 * y)
        turns.append((step + 1) * (step + 2) // 2 % 64)
        x, y = y, (2 * x + 3 * y) % 5
    return rounds, turns, order


_ROUNDS, _TURNS, _ORDER = _tables()


def keccak_256(data: bytes) -> bytes:
    """Returns the 32 bytes of the digest."""
    padded = bytearray(data) + b"\x01" + bytes(-(len(data) + 1) % _RATE)
    padded[-1] |= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), _RATE):
        for at in range(_RATE // 8):
            lanes[at] ^= int.from_bytes(padded[start + 8 * at : start + 8 * at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permute(lanes: list[int]) -> list[int]:
    for constant in _ROUNDS:
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [columns[x - 1] ^ _turned(columns[(x + 1) % 5], 1) for x in range(5)]
        lanes = [lane ^ mixed[at % 5] for at, lane in enumerate(lanes)]
        moved = lanes[1]
        for turn, at in zip(_TURNS, [*_ORDER[1:], _ORDER[0]], strict=True):
            lanes[at], moved = _turned(moved, turn), lanes[at]
        rows = [lanes[start : start + 5] for start in range(0, 25, 5)]
        lanes = [row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5] & _WORD) for row in rows for x in range(5)]
        lanes[0] ^= constant
    return lanes


def _turned(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _WORD if by else lane
