-- Own arguments: effects, an opcode and its arguments each (state/effects.py). Applying one twice changes nothing,
-- but for `incr`, which the marks keep from being applied twice.
while at <= #args do
  local op, key = args[at], prefix .. args[at + 1]
  if op == 'claim' then
    claim(key, args[at + 2], args[at + 3])
    at = at + 4
  elseif op == 'take' then
    take(key, args[at + 2], args[at + 3])
    at = at + 4
  elseif op == 'release' then
    if redis.call('GET', key) == args[at + 2] then redis.call('DEL', key) end
    at = at + 3
  elseif op == 'raise' then
    raise(key, args[at + 2], args[at + 3])
    at = at + 4
  elseif op == 'drop' then
    redis.call('DEL', key)
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
    if args[at + 3] ~= 0 then live_until(key, args[at + 3]) end
    at = at + 4
  elseif op == 'set' then
    redis.call('SET', key, args[at + 2], 'PXAT', args[at + 3])
    at = at + 4
  elseif op == 'case' then
    if tonumber(redis.call('HGET', key, 'rev') or '0') < args[at + 2] then
      redis.call('HSET', key, 'rev', args[at + 2], 'case', args[at + 3])
    end
    at = at + 4
  elseif op == 'link' then
    redis.call('ZADD', key, 'GT', args[at + 3], args[at + 2])
    live_until(key, args[at + 3])
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
    -- The case's hash remembers where it stands, so that one set is left when another is entered.
    local case, stood = string.match(args[at + 1], ':(.*)$'), redis.call('HGET', key, 'at')
    if redis.call('HGET', key, 'rev') == tostring(args[at + 2]) and stood ~= args[at + 3] then
      if stood and stood ~= '' then redis.call('ZREM', prefix .. stood, case) end
      if args[at + 3] ~= '' then redis.call('ZADD', prefix .. args[at + 3], args[at + 4], case) end
      redis.call('HSET', key, 'at', args[at + 3])
    end
    at = at + 5
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
return 1
