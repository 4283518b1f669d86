-- Own arguments, two forms:
--   'c', content, signal id, expires, subject          -> who holds the content ('' the caller), the subject's case queues
--   's', token, content, institution, occurred, window start, trim before, expires -> sightings, institutions since start
local out = {}
while at <= #ARGV do
  if ARGV[at] == 'c' then
    out[#out + 1] = claim(prefix .. 'c:' .. ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
    out[#out + 1] = redis.call('SMEMBERS', prefix .. 'k:' .. ARGV[at + 4])
    at = at + 5
  else
    local key, since, trim = prefix .. 's:' .. ARGV[at + 1], ARGV[at + 5], ARGV[at + 6]
    see(key, ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]), tonumber(ARGV[at + 7]))
    if redis.call('ZCARD', key) > 64 then
      redis.call('ZREMRANGEBYSCORE', key, 0, trim)
      redis.call('ZREMRANGEBYSCORE', key, '-' .. trim, 0)
    end
    out[#out + 1] = redis.call('ZCOUNT', key, '(' .. since, '+inf')
    out[#out + 1] = redis.call('ZCOUNT', key, '-inf', '(-' .. since)
    at = at + 8
  end
end
return out
