-- Own arguments, two forms:
--   'c', content, signal id, expires, subject          -> who holds the content ('' the caller), the subject's case queues
--   's', token, content, institution, occurred, window start, trim before, expires -> sightings, institutions since start
local out = {}
while at <= #args do
  if args[at] == 'c' then
    out[#out + 1] = claim(prefix .. 'c:' .. args[at + 1], args[at + 2], args[at + 3])
    out[#out + 1] = redis.call('SMEMBERS', prefix .. 'k:' .. args[at + 4])
    at = at + 5
  else
    local key, since, trim = prefix .. 's:' .. args[at + 1], args[at + 5], args[at + 6]
    see(key, args[at + 2], args[at + 3], args[at + 4], args[at + 7])
    local size = redis.call('ZCARD', key)
    if size == 2 then -- only what was just added
      out[#out + 1] = 1
      out[#out + 1] = 1
    else
      if size > 64 then
        redis.call('ZREMRANGEBYSCORE', key, 0, trim)
        redis.call('ZREMRANGEBYSCORE', key, '-' .. trim, 0)
      end
      out[#out + 1] = redis.call('ZCOUNT', key, '(' .. since, '+inf')
      out[#out + 1] = redis.call('ZCOUNT', key, '-inf', '(-' .. since)
    end
    at = at + 8
  end
end
return out
