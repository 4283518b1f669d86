-- The index of due moments (state/deadline_index.py), put before the scripts that use it. An entry a case lies in a drawer; its place, the
-- first moment (6 bytes, milliseconds) and the case, in an order that is cut into small sorted sets, for in its compact form one
-- costs a fifth of a large one. `o` has the place at which each but the first begins, which is the name of the set, too.
local FULL = 120 -- Redis' own bound of the compact form is 128
local function entries_of(case)
  local one, two = string.byte(case, -2, -1)
  return prefix .. 'c=' .. (one * 256 + two) % 1024
end
local function part_of(place) return redis.call('ZREVRANGEBYLEX', prefix .. 'o', '[' .. place, '-', 'LIMIT', 0, 1)[1] or '' end
local function enter_order(place)
  local key = prefix .. 'd:' .. part_of(place)
  redis.call('ZADD', key, 0, place)
  if redis.call('ZCARD', key) <= FULL then return end
  -- Times mostly grow: what came last begins a new part, so that the one before stays full.
  local from = redis.call('ZRANGE', key, -1, -1)[1] == place and FULL or FULL / 2
  local moved = redis.call('ZRANGE', key, from, -1)
  redis.call('ZREMRANGEBYRANK', key, from, -1)
  redis.call('ZADD', prefix .. 'o', 0, moved[1])
  for _, one in ipairs(moved) do redis.call('ZADD', prefix .. 'd:' .. moved[1], 0, one) end
end
local function leave_order(place)
  local part = part_of(place)
  redis.call('ZREM', prefix .. 'd:' .. part, place)
  if part ~= '' and redis.call('EXISTS', prefix .. 'd:' .. part) == 0 then redis.call('ZREM', prefix .. 'o', part) end
end
-- The case has `count` moments from now on, the first of them at `first`; unless a newer revision said otherwise.
local function settle(case, revision, first, count, moments)
  local key = entries_of(case)
  local entry, known, stood, before = redis.call('HGET', key, case), -1, -1, 0
  if entry then known, stood, before = struct.unpack('>I4I6I1', entry) end
  if known >= revision then return end
  if before > 0 and (count == 0 or stood ~= first) then leave_order(struct.pack('>I6', stood) .. case) end
  if count > 0 then
    if stood ~= first then enter_order(struct.pack('>I6', first) .. case) end
    redis.call('HSET', key, case, struct.pack('>I4I6I1', revision, first, count) .. moments)
  else
    redis.call('HDEL', key, case)
  end
  if count ~= before then redis.call('HINCRBY', prefix .. 'n', 'open', count - before) end
end
