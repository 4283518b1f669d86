"""How often somebody may do something: so many at once, then one in an interval; for one sender and for all together.

Not a fold: lost, it lets a few more through. Invariant: a sender that is refused costs the others nothing, and there are never
more keys than were let through within their time, so memory is bounded by the limit for all.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from redis.exceptions import RedisError

from gateway.idempotency import StateUnavailable
from gateway.pipelining import Pipelining
from gateway.problems import later

# GCRA: a key holds when its sender would be back to nothing. Both limits are looked at before either is moved.
_TAKE = """
local t = redis.call('TIME')
local now, wait, moved = t[1] * 1000 + math.floor(t[2] / 1000), 0, {}
for i, key in ipairs(KEYS) do
  local burst, every = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local at = math.max(now, tonumber(redis.call('GET', key) or '0')) + every
  wait = math.max(wait, at - burst * every - now)
  moved[i] = at
end
if wait > 0 then return math.ceil(wait) end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', moved[i]), 'PX', math.max(1, math.ceil(moved[i] - now)))
end
return 0
"""


class Rate(NamedTuple):
    """`burst` at once, and as many again in each `per_s`."""

    burst: int
    per_s: float

    @property
    def every_ms(self) -> float:
        return self.per_s * 1000 / self.burst


class Rates(Protocol):
    async def take(self, what: str, sender: str, one: Rate, all_: Rate) -> float:
        """Seconds to wait before this is allowed; 0: it is, and counted. StateUnavailable when that cannot be known."""


REPLAYS = Rate(120, 3600), Rate(2400, 3600)
"""Notices asked for once more: up to 200 records a time, which everybody's views and webhooks are behind."""


async def within(rates: Rates, what: str, sender: str, limits: tuple[Rate, Rate], said: str) -> None:
    """Problem 429 when this is too often."""
    wait_s = await rates.take(what, sender, *limits)
    if wait_s:
        raise later("rate-limited", said, int(wait_s) + 1)


class RedisRates:
    """Under `{gwr}`: one slot, so that both limits are one step."""

    def __init__(self, redis: Pipelining) -> None:
        self._redis = redis

    async def take(self, what: str, sender: str, one: Rate, all_: Rate) -> float:
        keys = (f"{{gwr}}{what}:{sender}", f"{{gwr}}{what}")
        try:
            wait_ms = await self._redis.execute("EVAL", _TAKE, 2, *keys, one.burst, one.every_ms, all_.burst, all_.every_ms)
        except RedisError as error:
            raise StateUnavailable(str(error)) from error
        return int(wait_ms) / 1000
