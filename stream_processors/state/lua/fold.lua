-- Own arguments: effects, an opcode and its arguments each (state/effects.py). Applying one twice changes nothing,
-- but for `incr`, which the marks keep from being applied twice.
local MANY = 1000 -- more than there are agencies
-- What lies in a drawer comes with its drawer's number behind its key.
local function lodged()
  return prefix .. string.sub(args[at + 1], 1, 1) .. '=' .. args[at + 2], string.sub(args[at + 1], 3)
end
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
    bury(key, args[at + 2], args[at + 3])
    at = at + 4
  elseif op == 'unsee' then
    unsee(key, args[at + 2], args[at + 3])
    at = at + 4
  elseif op == 'see' then
    see(key, args[at + 2], args[at + 3], args[at + 4], args[at + 5])
    at = at + 6
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
    put(key, args[at + 2], args[at + 3], args[at + 4], args[at + 5])
    at = at + 6
  elseif op == 'unrank' then
    redis.call('ZREM', key, args[at + 2])
    at = at + 3
  elseif op == 'incr' then
    redis.call('HINCRBY', key, args[at + 2], args[at + 3])
    at = at + 4
  else
    return redis.error_reply('ERR unknown effect ' .. op)
  end
end
return cmsgpack.pack({ 1 })
