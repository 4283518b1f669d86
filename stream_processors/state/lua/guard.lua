-- Put before every script; behind it comes each.lua, which calls the script's `run` for one bucket after the other: its marks, its
-- key prefix `{tag}` and its own arguments are in these.
local marks, prefix, args, at
-- A missing stamp or another mark means that this state is not the one the caller knows: lost, restored from an older
-- copy, or moved by another owner. Nothing of the bucket is touched then and the caller ends. Checks: (field, lowest, highest)...
local function wrong(checks)
  local fields = { 'stamp' }
  for i = 1, #checks, 3 do fields[#fields + 1] = checks[i] end
  local stood = redis.call('HMGET', marks, unpack(fields))
  if stood[1] ~= ARGV[1] then return 'LOST stamp ' .. tostring(stood[1]) .. ' in ' .. marks end
  for i = 1, #checks, 3 do
    local found, low, high = stood[(i + 5) / 3] or '0', checks[i + 1], checks[i + 2]
    local right = found == low
    if not right and type(low) == 'number' then
      local n = tonumber(found)
      right = n ~= nil and n >= low and n <= high
    end
    if not right then return 'STALE ' .. checks[i] .. ' is ' .. found .. ', not ' .. low .. ' to ' .. high .. ', in ' .. marks end
  end
end
local function live_until(key, expires)
  if end_of(key) <= expires then redis.call('PEXPIREAT', key, after(expires)) end
end
-- What lies in a drawer comes with its drawer's number behind its key.
local function lodged()
  return prefix .. string.sub(args[at + 1], 1, 1) .. '=' .. args[at + 2], string.sub(args[at + 1], 3)
end
-- A small set in a drawer: its members (a byte for the length, 6 for the end, the member), each with its longest time. The order
-- is that of arrival: whoever compares two states sorts.
local function members_of(key, name)
  local entry, head = look(key, name)
  local found, at = {}, 1
  while entry and at <= #entry do
    local length, ends = struct.unpack('>I1I6', entry, at)
    found[#found + 1] = { string.sub(entry, at + 7, at + 6 + length), ends }
    at = at + 7 + length
  end
  return found, head
end
-- Puts a member; gives all of them and the longest time instead when they are more than `most`.
local function enter(key, name, member, expires, most)
  local found, head = members_of(key, name)
  local latest, known = expires, false
  for _, one in ipairs(found) do
    if one[1] == member then
      known = true
      one[2] = math.max(one[2], expires)
    end
    latest = math.max(latest, one[2])
  end
  if not known then found[#found + 1] = { member, expires } end
  if #found > most then return found, latest end
  for i, one in ipairs(found) do found[i] = struct.pack('>I1I6', #one[1], one[2]) .. one[1] end
  lay(key, name, table.concat(found), latest, head)
end
-- An index: most names have one or two members, which lie in a drawer; those with more have a sorted set.
local FEW = 8
local function link(key, drawer, name, member, expires)
  local found, latest = nil, expires
  if redis.call('EXISTS', key) == 0 then
    found, latest = enter(drawer, name, member, expires, FEW)
    if not found then return end
    clear(drawer, name)
  end
  for _, one in ipairs(found or { { member, expires } }) do redis.call('ZADD', key, 'GT', one[2], one[1]) end
  live_until(key, latest)
end
-- A case's entry: its revision (4 bytes), where it stands (1 byte its length), the case. Neither it nor its drawer ends.
local function look_case(key, name)
  local entry = redis.call('HGET', key, name)
  if not entry then return 0, '', '' end
  local revision, length = struct.unpack('>I4I1', entry)
  return revision, string.sub(entry, 6, 5 + length), string.sub(entry, 6 + length)
end
local function lay_case(key, name, revision, where, case)
  redis.call('HSET', key, name, struct.pack('>I4I1', revision, #where) .. where .. case)
end
-- First claim wins and stays; '' says it is the caller's now.
local function claim(key, name, value, expires)
  local held, head = look(key, name)
  if held then return held end
  lay(key, name, value, expires, head)
  return ''
end
-- Sightings of an indicator. Most have one, which lies in a drawer: its time (6 bytes), the institution (1 byte its length), the
-- content. More are a sorted set: each at its time, and each institution's latest at minus its time (one key, less memory; both
-- keep their lowest score, so one command adds both). A content may have `>` and what it was seen beside behind it (5 characters):
-- of that the latest is kept, too, at minus its time and FAR below the institutions.
local FAR = 2 ^ 50
local BESIDE = 6
local function beside_of(content) return string.byte(content, -BESIDE) == 62 and string.sub(content, 1 - BESIDE) end
local function far(occurred) return string.format('%.0f', -FAR - occurred) end
local function lone(entry)
  local occurred, length = struct.unpack('>I6I1', entry, 7)
  return occurred, string.sub(entry, 14, 13 + length), string.sub(entry, 14 + length)
end
local function add_sighting(key, content, institution, occurred)
  local one, who = 's' .. institution .. '|' .. content, 'i' .. institution
  local other = beside_of(content)
  if not other then return redis.call('ZADD', key, 'LT', occurred, one, '-' .. occurred, who) end
  return redis.call('ZADD', key, 'LT', occurred, one, '-' .. occurred, who, far(occurred), 'p' .. other)
end
-- The size of the set then, 0 while the sighting is the only one.
local function see(key, drawer, token, content, institution, occurred, expires)
  local size = redis.call('ZCARD', key)
  if size == 0 then
    local head, entry = unpack(redis.call('HMGET', drawer, '', token))
    if not live(entry) then
      lay(drawer, token, struct.pack('>I6I1', occurred, #institution) .. institution .. content, expires, head)
      return 0
    end
    local ends, stood, who, what = struct.unpack('>I6', entry), lone(entry)
    if stood == tonumber(occurred) and who == institution and what == content then
      if expires > ends then lay(drawer, token, string.sub(entry, 7), expires, head) end
      return 0
    end
    clear(drawer, token)
    size = add_sighting(key, what, who, string.format('%.0f', stood))
    live_until(key, ends)
  end
  size = size + add_sighting(key, content, institution, occurred)
  live_until(key, expires)
  return size
end
-- A bounded set: of the members by score the highest `most` stay (0: all), whatever the order in which they come. What is taken
-- back stays in it, marked in a set beside it: were it removed, the order of arrival would tell in which of others had their place.
-- One that came again after that is marked with a `~`: it may be taken out as if it never had.
-- The first member lies in a drawer where one is given: its score (6 bytes) and itself.
local function only(entry) return struct.unpack('>I6', entry, 7), string.sub(entry, 13) end
local function to_set(key, drawer, name, entry)
  local stood, member = only(entry)
  clear(drawer, name)
  redis.call('ZADD', key, string.format('%.0f', stood), member)
  live_until(key, (struct.unpack('>I6', entry)))
end
local function remark(key, one, other)
  if redis.call('SISMEMBER', key .. '!', one) == 0 then return end
  redis.call('SADD', key .. '!', other) -- first: a set that is empty for a moment loses its end
  redis.call('SREM', key .. '!', one)
end
local function put(key, drawer, name, score, member, most, expires)
  if drawer and redis.call('EXISTS', key, key .. '!') == 0 then
    local head, entry = unpack(redis.call('HMGET', drawer, '', name))
    local stood, other, ends = 0, member, 0
    if live(entry) then
      ends, stood, other = struct.unpack('>I6', entry), only(entry)
    end
    if other == member then
      lay(drawer, name, struct.pack('>I6', math.max(stood, score)) .. member, math.max(ends, expires), head)
      return
    end
    to_set(key, drawer, name, entry)
  end
  redis.call('ZADD', key, 'GT', score, member)
  if most > 0 and redis.call('ZCARD', key) > most then redis.call('ZREMRANGEBYRANK', key, 0, -most - 1) end
  live_until(key, expires)
  if redis.call('EXISTS', key .. '!') == 1 then
    remark(key, member, '~' .. member)
    live_until(key .. '!', expires)
  end
end
-- Takes a member out: it was never there, or it was taken back already.
local function unput(key, drawer, name, member)
  remark(key, '~' .. member, member)
  if redis.call('SISMEMBER', key .. '!', member) == 1 then return end
  local entry = redis.call('HGET', drawer, name)
  if entry and select(2, only(entry)) == member then clear(drawer, name) end
  redis.call('ZREM', key, member)
end
local function bury(key, drawer, name, member, expires)
  local entry = redis.call('HGET', drawer, name)
  -- Past its end, too, as long as it would stay in a set.
  if entry and after((struct.unpack('>I6', entry))) > now() then to_set(key, drawer, name, entry) end
  redis.call('SADD', key .. '!', member)
  redis.call('SREM', key .. '!', '~' .. member)
  live_until(key .. '!', expires)
  local ends = end_of(key)
  if ends > 0 then live_until(key .. '!', ends - 1) end -- the end of a key is one step after a member's
end
-- Whether a member of the set counts: a function, for seldom is there anything to look up.
local function counting(key)
  if redis.call('EXISTS', key .. '!') == 0 then return nil end
  return function(member) return redis.call('SISMEMBER', key .. '!', member) == 0 end
end
-- The latest of `name` becomes that of the newest sighting that fits: a function of the set alone. `low` is FAR or 0.
local function relatest(key, name, low, occurred, fits)
  local latest = redis.call('ZSCORE', key, name)
  if latest and -tonumber(latest) - low > tonumber(occurred) then return end
  local from, page = 0, nil
  repeat
    page = redis.call('ZREVRANGEBYSCORE', key, '+inf', 0, 'WITHSCORES', 'LIMIT', from, 500)
    for i = 1, #page, 2 do
      if fits(page[i]) then
        redis.call('ZADD', key, string.format('%.0f', -low - page[i + 1]), name)
        return
      end
    end
    from = from + 500
  until #page < 1000
  redis.call('ZREM', key, name)
end
-- Takes a sighting away, whether it names what it was seen beside or not.
local function unsee(key, drawer, token, content, institution, beside)
  local entry, marked = redis.call('HGET', drawer, token), content .. '>' .. beside
  if live(entry) then
    local _, who, what = lone(entry)
    if who == institution and (what == content or what == marked) then clear(drawer, token) end
    return
  end
  local own = 's' .. institution .. '|'
  for _, one in ipairs({ content, marked }) do
    local occurred = redis.call('ZSCORE', key, own .. one)
    if occurred then
      redis.call('ZREM', key, own .. one)
      relatest(key, 'i' .. institution, 0, occurred, function(member) return string.sub(member, 1, #own) == own end)
      local other = beside_of(one)
      if other then relatest(key, 'p' .. other, FAR, occurred, function(member) return beside_of(member) == other end) end
    end
  end
end
-- What one version of a signal is remembered by, and back (schemas/signals/retraction.py: name_of).
local function name_of(signal, version) return version == 1 and signal or signal .. '/' .. version end
local function parts_of(name)
  local short = string.byte(name) < 3 and 17 or 0 -- a tag and 16 bytes of any value (state/shared_hashes.py)
  local signal, version = string.match(string.sub(name, short + 1), '^([^/]*)/?(%d*)$')
  return string.sub(name, 1, short) .. signal, tonumber(version) or 1
end
-- A content is its first holder's; only a newer version of the same signal takes it over.
local function take(key, content, name, expires)
  local held, head = look(key, content)
  if held then
    local signal, version = parts_of(name)
    local other, older = parts_of(held)
    if other ~= signal or older >= version then return held end
  end
  lay(key, content, name, expires, head)
  return ''
end
-- Versions of a signal below its floor are dead. It only ever rises, and lies beside its claims as if it were version 0's.
local function floor_of(entry) return tonumber(live(entry) or '0') end
local function raise(key, signal, floor, expires)
  local found = redis.call('HMGET', key, '', signal .. '/0')
  local stands = floor_of(found[2])
  if floor < stands then return end
  local ends = stands > 0 and struct.unpack('>I6', found[2]) or 0
  lay(key, signal .. '/0', string.format('%d', floor), math.max(ends, expires), found[1])
end
