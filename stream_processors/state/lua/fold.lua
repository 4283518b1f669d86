-- Own arguments: effects, an opcode and its arguments each (state/effects.py). Applying one twice changes nothing,
-- but for `incr` and `tally`, which the marks keep from being applied twice.
local MANY = 1000 -- more than there are agencies
local SLOT, SLOTS = 12, 4 -- of what became of a notice: when (6 bytes) and its rank there, for each of inbox.py's slots
-- Inboxes (views/inbox_fold.py). A member is 12 bytes of the notice's name and 6 of its end. What has ended leaves two at a time.
-- A notice that is issued again at another time (its change was lost, and decided again) has another end: it waits once, with the
-- end that its body has, and a mark is of it whatever end the mark knows.
local function no_longer_waits(waiting, member, body)
  if body then redis.call('ZREM', waiting, string.sub(member, 1, 12) .. string.sub(body, 1, 6)) end
end
local function box(key, who, place, member, drawer, name, body, ends)
  if ends <= now() then return end
  if redis.call('ZADD', key, 'NX', place, member) == 1 then
    local bodies, state = prefix .. 'b=' .. drawer, look(prefix .. 'y=' .. drawer, name)
    local before = redis.call('HMGET', bodies, '', name)
    no_longer_waits(prefix .. 'u:' .. who, member, before[2])
    if not state or (struct.unpack('>I6', state) == 0 and struct.unpack('>I6', state, 1 + SLOT) == 0) then
      redis.call('ZADD', prefix .. 'u:' .. who, place, member)
      live_until(prefix .. 'u:' .. who, ends)
    end
    lay(bodies, name, body, ends, before[1])
  end
  live_until(key, ends)
  for _, oldest in ipairs(redis.call('ZRANGE', key, 0, 1)) do
    if struct.unpack('>I6', oldest, 13) <= now() then
      redis.call('ZREM', key, oldest)
      redis.call('ZREM', prefix .. 'u:' .. who, oldest)
    end
  end
end
local function mark(key, member, drawer, name, slot, when, rank, tail, ends)
  local states = prefix .. 'y=' .. drawer
  local head, entry = unpack(redis.call('HMGET', states, '', name))
  local state, stood = string.rep('\0', SLOT * SLOTS), 0
  if entry then stood = struct.unpack('>I6', entry) end
  if stood > now() then state = string.sub(entry, 7) else stood = 0 end
  local from = slot * SLOT + 1
  local at_, rank_ = struct.unpack('>I6I6', state, from)
  local later = when > at_ or (when == at_ and rank > rank_)
  local earlier = when < at_ or (when == at_ and rank < rank_)
  if at_ == 0 or (slot < 2 and earlier) or (slot > 1 and later) then
    local rest = slot == 2 and tail or string.sub(state, SLOT * SLOTS + 1)
    local after = string.sub(state, from + SLOT, SLOT * SLOTS)
    state = string.sub(state, 1, from - 1) .. struct.pack('>I6I6', when, rank) .. after .. rest
  end
  if slot < 2 then
    redis.call('ZREM', key, member)
    no_longer_waits(key, member, redis.call('HGET', prefix .. 'b=' .. drawer, name))
  end
  if math.max(stood, ends) > now() then lay(states, name, state, math.max(stood, ends), head) end
end
local function run()
  while at <= #args do
    local op, key = args[at], prefix .. args[at + 1]
    if op == 'claim' then
      local drawer, name = lodged()
      claim(drawer, name, args[at + 3], args[at + 4])
      at = at + 5
    elseif op == 'take' then
      local drawer, name = lodged()
      take(drawer, name, args[at + 3], args[at + 4])
      at = at + 5
    elseif op == 'release' then
      local drawer, name = lodged()
      if look(drawer, name) == args[at + 3] then clear(drawer, name) end
      at = at + 4
    elseif op == 'raise' then
      raise(prefix .. 'r=' .. args[at + 2], string.sub(args[at + 1], 3), args[at + 3], args[at + 4])
      at = at + 5
    elseif op == 'drop' then
      clear(lodged())
      at = at + 3
    elseif op == 'bury' then
      local drawer, name = lodged()
      bury(key, drawer, name, args[at + 3], args[at + 4])
      at = at + 5
    elseif op == 'unsee' then
      local drawer, name = lodged()
      unsee(key, drawer, name, args[at + 3], args[at + 4], args[at + 5])
      at = at + 6
    elseif op == 'see' then
      local drawer, name = lodged()
      see(key, drawer, name, args[at + 3], args[at + 4], args[at + 5], args[at + 6])
      at = at + 7
    elseif op == 'add' then
      redis.call('SADD', key, args[at + 2])
      at = at + 3
    elseif op == 'enter' then
      local drawer, name = lodged()
      enter(drawer, name, args[at + 3], args[at + 4], MANY)
      at = at + 5
    elseif op == 'set' then
      local drawer, name = lodged()
      lay(drawer, name, args[at + 3], args[at + 4], redis.call('HGET', drawer, ''))
      at = at + 5
    elseif op == 'case' then
      local drawer, name = lodged()
      local revision, where = look_case(drawer, name)
      if revision < args[at + 3] then lay_case(drawer, name, args[at + 3], where, args[at + 4]) end
      at = at + 5
    elseif op == 'link' then
      local drawer, name = lodged()
      link(key, drawer, name, args[at + 3], args[at + 4])
      at = at + 5
    elseif op == 'newer' then
      if tonumber(redis.call('HGET', key, 'rev') or '0') < args[at + 2] then
        redis.call('HSET', key, 'rev', args[at + 2], 'text', args[at + 3])
      end
      live_until(key, args[at + 4])
      at = at + 5
    elseif op == 'rank' then
      redis.call('ZADD', key, args[at + 2], args[at + 3])
      at = at + 4
    elseif op == 'stand' then
      -- A newer case, with where it stands: its entry remembers, so that one set is left when another is entered. Where it stands
      -- already it keeps its time.
      local drawer, name = lodged()
      local revision, stood = look_case(drawer, name)
      local where = args[at + 5]
      if revision < args[at + 3] then
        if stood ~= where then
          if stood ~= '' then redis.call('ZREM', prefix .. stood, args[at + 7]) end
          if where ~= '' then redis.call('ZADD', prefix .. where, args[at + 6], args[at + 7]) end
        end
        lay_case(drawer, name, args[at + 3], where, args[at + 4])
      end
      at = at + 8
    elseif op == 'keep' then
      local drawer, name = lodged()
      put(key, string.byte(args[at + 1]) == 118 and drawer, name, args[at + 3], args[at + 4], args[at + 5], args[at + 6])
      at = at + 7
    elseif op == 'box' then
      box(key, string.sub(args[at + 1], 3), args[at + 2], args[at + 3], args[at + 4], args[at + 5], args[at + 6], args[at + 7])
      at = at + 8
    elseif op == 'mark' then
      mark(key, args[at + 2], args[at + 3], args[at + 4], args[at + 5], args[at + 6], args[at + 7], args[at + 8], args[at + 9])
      at = at + 10
    elseif op == 'unrank' then
      redis.call('ZREM', key, args[at + 2])
      at = at + 3
    elseif op == 'settle' then
      settle(string.sub(args[at + 1], 3), args[at + 2], args[at + 3], args[at + 4], args[at + 5])
      at = at + 6
    elseif op == 'incr' then
      redis.call('HINCRBY', key, args[at + 2], args[at + 3])
      at = at + 4
    elseif op == 'tally' then
      -- A party's day, and its month and year (views/scorecards.py). A cell at 0 is no cell; what would overflow stays as it is.
      local head, day, party = string.match(args[at + 1], '^(z:.:)(%d+%-%d+%-%d+):(.*)$')
      local last = at + 5 + 2 * args[at + 5]
      for i, length in ipairs({ 10, 7, 4 }) do
        local cells = prefix .. head .. string.sub(day, 1, length) .. ':' .. party
        for j = at + 6, last, 2 do
          local n = redis.pcall('HINCRBY', cells, args[j], args[j + 1])
          if n == 0 then redis.call('HDEL', cells, args[j]) end
          if type(n) == 'table' and not string.find(n.err, 'overflow') then error(n.err) end
        end
        if redis.call('PTTL', cells) == -1 then redis.call('PEXPIREAT', cells, args[at + 1 + i]) end
      end
      redis.call('SADD', prefix .. 'parties', string.sub(head, 3, 3) .. party)
      at = last + 1
    else
      error('unknown effect ' .. op)
    end
  end
  return { 1 }
end
