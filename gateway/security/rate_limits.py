"""Rate limits: a burst, then one in each interval; for one sender, for nested groups of senders (the networks around an address),
and for all together.

Not a projection: its loss lets a few more requests through. Invariant: a refused sender costs the others nothing, and there are
never more keys than permitted requests within their time, so the limit for all (and its reserve) bounds memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from redis.exceptions import RedisError

from gateway.adapters.idempotency import StateUnavailable
from gateway.adapters.redis import Pipelining
from gateway.http.problems import later

# GCRA: a key holds when its sender would be back to nothing. All limits are looked at before one is moved. The keys: the groups
# of a sender from the smallest to the largest, all together, then (if it has one) the reserve, which stands in for all together
# while the largest group has nothing to its account.
_TAKE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function after(i)
  local burst, every = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local at = math.max(now, tonumber(redis.call('GET', KEYS[i]) or '0')) + every
  return at, at - burst * every - now
end
local groups, wait, moved = tonumber(ARGV[1]), 0, {}
for i = 1, groups do
  local at, late = after(i)
  moved[i], wait = at, math.max(wait, late)
end
local all = groups + 1
if KEYS[all + 1] and redis.call('EXISTS', KEYS[groups]) == 0 then
  local _, late = after(all + 1)
  if late <= 0 then all = all + 1 end
end
local at, late = after(all)
moved[all], wait = at, math.max(wait, late)
if wait > 0 then return math.ceil(wait) end
for i, at in pairs(moved) do
  redis.call('SET', KEYS[i], string.format('%.0f', at), 'PX', math.max(1, math.ceil(at - now)))
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


class Group(NamedTuple):
    """Senders that share a limit, by a name."""

    name: str
    rate: Rate


class Rates(Protocol):
    async def take(self, what: str, sender: str, sender_rate: Rate, all_: Rate) -> float:
        """Returns the seconds to wait until this is permitted; 0: it is, and counted. StateUnavailable if that is unknown."""

    async def take_in_groups(self, what: str, groups: Sequence[Group], all_: Rate, reserve: Rate) -> float:
        """The same for a sender in several groups, the smallest first. `reserve`: an allowance for senders whose largest group
        has used nothing, so that a flood from elsewhere does not lock them out."""


REPLAYS = Rate(120, 3600), Rate(2400, 3600)
"""Requests for redelivery. Each one writes up to 200 records, and the views and webhooks of all recipients wait behind them."""


async def within(rates: Rates, what: str, sender: str, limits: tuple[Rate, Rate], detail: str) -> None:
    """Problem 429 if this is too often."""
    wait_s = await rates.take(what, sender, *limits)
    if wait_s:
        raise later("rate-limited", detail, int(wait_s) + 1)


class RedisRates:
    """Under `{gwr}`: one slot, so that all limits are one step."""

    def __init__(self, redis: Pipelining) -> None:
        self._redis = redis

    async def take(self, what: str, sender: str, sender_rate: Rate, all_: Rate) -> float:
        return await self._take_tokens(what, (Group(sender, sender_rate),), (Group("", all_),))

    async def take_in_groups(self, what: str, groups: Sequence[Group], all_: Rate, reserve: Rate) -> float:
        return await self._take_tokens(what, groups, (Group("", all_), Group("reserve", reserve)))

    async def _take_tokens(self, what: str, groups: Sequence[Group], shared: Sequence[Group]) -> float:
        keys = [f"{{gwr}}{what}:{group.name}" for group in groups]
        keys += [f"{{gwr}}{what}|{group.name}" for group in shared]
        limits = [n for group in (*groups, *shared) for n in (group.rate.burst, group.rate.every_ms)]
        try:
            wait_ms = await self._redis.execute("EVAL", _TAKE, len(keys), *keys, len(groups), *limits)
        except RedisError as error:
            raise StateUnavailable(str(error)) from error
        return int(wait_ms) / 1000
