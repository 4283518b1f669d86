-- Put before every script. KEYS[1] is the bucket's marks, KEYS[2] its key prefix `{tag}`.
-- ARGV: stamp, then MessagePack arrays: checks (field, lowest, highest)..., sets (field, value)..., the script's own arguments.
-- A missing stamp or another mark means that this state is not the one the caller knows: lost, restored from an older
-- copy, or moved by another owner. Nothing is touched then and the caller ends.
local marks, prefix = KEYS[1], KEYS[2]
local stamp = redis.call('HGET', marks, 'stamp')
if stamp ~= ARGV[1] then return redis.error_reply('LOST stamp ' .. tostring(stamp) .. ' in ' .. marks) end
local checks, sets, args = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3]), cmsgpack.unpack(ARGV[4])
for i = 1, #checks, 3 do
  local found = redis.call('HGET', marks, checks[i]) or '0'
  local low, high = checks[i + 1], checks[i + 2]
  local right = found == low
  if not right and type(low) == 'number' then
    local n = tonumber(found)
    right = n ~= nil and n >= low and n <= high
  end
  if not right then
    return redis.error_reply('STALE ' .. checks[i] .. ' is ' .. found .. ', not ' .. low .. ' to ' .. high .. ', in ' .. marks)
  end
end
if #sets > 0 then redis.call('HSET', marks, unpack(sets)) end
local at = 1
local clock = nil
-- A set lives as long as its longest-living member; the order of arrival does not matter.
local function live_until(key, expires)
  if not clock then
    local t = redis.call('TIME')
    clock = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  local left = redis.call('PTTL', key)
  if left < 0 or clock + left < expires then redis.call('PEXPIREAT', key, expires) end
end
-- First claim wins and stays; '' says it is the caller's now.
local function claim(key, value, expires)
  local held = redis.call('GET', key)
  if held then return held end
  redis.call('SET', key, value, 'PXAT', expires)
  return ''
end
-- One set an indicator: a sighting at its time, and each institution's latest at minus its time (one key, less memory).
local function see(key, content, institution, occurred, expires)
  redis.call('ZADD', key, 'NX', occurred, 's' .. institution .. '|' .. content)
  redis.call('ZADD', key, 'LT', -occurred, 'i' .. institution)
  live_until(key, expires)
end
-- A bounded set: of the members by score the highest `most` stay (0: all), whatever the order in which they come. What is taken
-- back stays in it, marked in a set beside it: were it removed, the order of arrival would tell in which of others had their place.
local function put(key, score, member, most, expires)
  redis.call('ZADD', key, 'GT', score, member)
  if most > 0 and redis.call('ZCARD', key) > most then redis.call('ZREMRANGEBYRANK', key, 0, -most - 1) end
  live_until(key, expires)
  if redis.call('EXISTS', key .. '!') == 1 then
    redis.call('SREM', key .. '!', member)
    live_until(key .. '!', expires)
  end
end
local function bury(key, member, expires)
  redis.call('SADD', key .. '!', member)
  live_until(key .. '!', expires)
  local left = redis.call('PTTL', key)
  if left > 0 then live_until(key .. '!', clock + left) end
end
-- Whether a member of the set counts: a function, for seldom is there anything to look up.
local function counting(key)
  if redis.call('EXISTS', key .. '!') == 0 then return nil end
  return function(member) return redis.call('SISMEMBER', key .. '!', member) == 0 end
end
-- Takes a sighting away. The institution's latest is then that of what it still has here: a function of the set alone.
local function unsee(key, content, institution)
  local own = 's' .. institution .. '|'
  local occurred = redis.call('ZSCORE', key, own .. content)
  if not occurred then return end
  redis.call('ZREM', key, own .. content)
  local latest = redis.call('ZSCORE', key, 'i' .. institution)
  if latest and -tonumber(latest) > tonumber(occurred) then return end
  local from, page = 0, nil
  repeat
    page = redis.call('ZREVRANGEBYSCORE', key, '+inf', 0, 'WITHSCORES', 'LIMIT', from, 500)
    for i = 1, #page, 2 do
      if string.sub(page[i], 1, #own) == own then
        redis.call('ZADD', key, -tonumber(page[i + 1]), 'i' .. institution)
        return
      end
    end
    from = from + 500
  until #page < 1000
  redis.call('ZREM', key, 'i' .. institution)
end
-- What one version of a signal is remembered by, and back (schemas/retractions.py: name_of).
local function name_of(signal, version) return version == 1 and signal or signal .. '/' .. version end
local function parts_of(name)
  local signal, version = string.match(name, '^([^/]*)/?(%d*)$')
  return signal, tonumber(version) or 1
end
-- A content is its first holder's; only a newer version of the same signal takes it over.
local function take(key, name, expires)
  local held = redis.call('GET', key)
  if held then
    local signal, version = parts_of(name)
    local other, older = parts_of(held)
    if other ~= signal or older >= version then return held end
  end
  redis.call('SET', key, name, 'PXAT', expires)
  return ''
end
-- Versions of a signal below its floor are dead. It only ever rises.
local function raise(key, floor, expires)
  local stands = tonumber(redis.call('GET', key) or '0')
  if floor < stands then return end
  if floor > stands then redis.call('SET', key, floor, 'KEEPTTL') end
  live_until(key, expires)
end
