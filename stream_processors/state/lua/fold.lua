-- Own arguments: effects, an opcode and its arguments each (state/effects.py). Applying one twice changes nothing,
-- but for `incr`, which the marks keep from being applied twice.
while at <= #ARGV do
  local op, key = ARGV[at], prefix .. ARGV[at + 1]
  if op == 'claim' then
    claim(key, ARGV[at + 2], ARGV[at + 3])
    at = at + 4
  elseif op == 'see' then
    see(key, ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]))
    at = at + 6
  elseif op == 'add' then
    redis.call('SADD', key, ARGV[at + 2])
    if ARGV[at + 3] ~= '0' then live_until(key, tonumber(ARGV[at + 3])) end
    at = at + 4
  elseif op == 'set' then
    redis.call('SET', key, ARGV[at + 2], 'PXAT', ARGV[at + 3])
    at = at + 4
  elseif op == 'case' then
    if tonumber(redis.call('HGET', key, 'rev') or '0') < tonumber(ARGV[at + 2]) then
      redis.call('HSET', key, 'rev', ARGV[at + 2], 'case', ARGV[at + 3])
    end
    at = at + 4
  elseif op == 'rank' then
    redis.call('ZADD', key, ARGV[at + 2], ARGV[at + 3])
    at = at + 4
  elseif op == 'unrank' then
    redis.call('ZREM', key, ARGV[at + 2])
    at = at + 3
  elseif op == 'incr' then
    redis.call('HINCRBY', key, ARGV[at + 2], ARGV[at + 3])
    at = at + 4
  else
    return redis.error_reply('ERR unknown effect ' .. op)
  end
end
return 1
