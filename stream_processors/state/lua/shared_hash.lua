-- Entries of shared hashes: of the state, where guard.lua comes behind this, and of what the gateway remembers of references
-- (gateway/adapters/lua). Nothing here knows what an entry is about.
local clock = nil
local function now()
  if not clock then
    local t = redis.call('TIME')
    clock = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return clock
end
-- A key ends at the first full step after its longest-living member: so its end moves once a step and not with every member, and
-- it is the same whatever the order of arrival.
local STEP = 6 * 3600 * 1000
local function after(expires) return expires - expires % STEP + STEP end
-- Such a key's end, -1 when it has none. The clock is read first: were it read after PTTL, a slow moment between the two would
-- put the end behind the real one, and a step too far.
local function end_of(key)
  local at = now()
  local left = redis.call('PTTL', key)
  return left < 0 and -1 or after(at + left - 1)
end
-- Drawers (state/shared_hashes.py): a key of its own costs more than most of our values, so they share hashes, 1,024 a concern and
-- bucket; the caller tells which. An entry is when it ends (6 bytes, milliseconds) and the value. The entry '' is the drawer's head:
-- when the whole key ends, and when it was swept last (6 bytes each).
local function live(entry)
  if not entry or struct.unpack('>I6', entry) <= now() then return nil end
  return string.sub(entry, 7)
end
-- A value and the drawer's head, which `lay` wants.
local function look(key, name)
  local found = redis.call('HMGET', key, '', name)
  return live(found[2]), found[1]
end
local function sweep(key)
  local entries = redis.call('HGETALL', key)
  for i = 1, #entries, 2 do
    if entries[i] ~= '' and struct.unpack('>I6', entries[i + 1]) <= now() then redis.call('HDEL', key, entries[i]) end
  end
end
local function lay(key, name, value, expires, head)
  local entry, ends, swept = struct.pack('>I6', expires) .. value, 0, 0
  if head then
    ends, swept = struct.unpack('>I6I6', head)
    if expires < ends and now() < swept + STEP then
      redis.call('HSET', key, name, entry)
      return
    end
    sweep(key)
  else
    ends = end_of(key) -- that of a hash which an older version has written, without a head
  end
  ends = math.max(ends, after(expires))
  redis.call('HSET', key, '', struct.pack('>I6I6', ends, now()), name, entry)
  redis.call('PEXPIREAT', key, ends)
end
local function clear(key, name) redis.call('HDEL', key, name) end
