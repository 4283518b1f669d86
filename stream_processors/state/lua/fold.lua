-- Own arguments: effects, an opcode and its arguments each (state/effects.py). Applying one twice changes nothing,
-- but for `incr`, which the marks keep from being applied twice.
local MANY = 1000 -- more than there are agencies
while at <= #args do
  local op, key = args[at], prefix .. args[at + 1]
  local concern, name = string.sub(args[at + 1], 1, 1), string.sub(args[at + 1], 3) -- of what lies in a drawer
  if op == 'claim' then
    claim(concern, name, args[at + 2], args[at + 3])
    at = at + 4
  elseif op == 'take' then
    take(name, args[at + 2], args[at + 3])
    at = at + 4
  elseif op == 'release' then
    if look(concern, name) == args[at + 2] then clear(concern, name) end
    at = at + 3
  elseif op == 'raise' then
    raise(key, args[at + 2], args[at + 3])
    at = at + 4
  elseif op == 'drop' then
    clear(concern, name)
    at = at + 2
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
    enter(concern, name, args[at + 2], args[at + 3], MANY)
    at = at + 4
  elseif op == 'set' then
    lay(concern, name, args[at + 2], args[at + 3])
    at = at + 4
  elseif op == 'case' then
    local revision, where = look_case(name)
    if revision < args[at + 2] then lay_case(name, args[at + 2], where, args[at + 3]) end
    at = at + 4
  elseif op == 'link' then
    link(key, name, args[at + 2], args[at + 3])
    at = at + 4
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
    -- The case's entry remembers where it stands, so that one set is left when another is entered.
    local revision, stood, case = look_case(name)
    local where = args[at + 3]
    if revision == args[at + 2] and stood ~= where then
      if stood ~= '' then redis.call('ZREM', prefix .. stood, args[at + 5]) end
      if where ~= '' then redis.call('ZADD', prefix .. where, args[at + 4], args[at + 5]) end
      lay_case(name, revision, where, case)
    end
    at = at + 6
  elseif op == 'keep' then
    put(key, args[at + 2], args[at + 3], args[at + 4], args[at + 5])
    at = at + 6
  elseif op == 'unrank' then
    redis.call('ZREM', key, args[at + 2])
    at = at + 3
  elseif op == 'settle' then
    settle(name, args[at + 2], args[at + 3], args[at + 4], args[at + 5])
    at = at + 6
  elseif op == 'incr' then
    redis.call('HINCRBY', key, args[at + 2], args[at + 3])
    at = at + 4
  else
    return redis.error_reply('ERR unknown effect ' .. op)
  end
end
return 1
