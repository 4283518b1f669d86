-- Own arguments: (signal id, version, value, expires)...  Answer, three for each: who holds the reference ('' the caller), the
-- floor below which versions are dead, and what older versions left standing. A newer version makes the older ones dead.
local out = {}
while at <= #args do
  local signal, version, expires = args[at], args[at + 1], args[at + 3]
  local floor = tonumber(redis.call('GET', prefix .. 't:' .. signal) or '0')
  local standing = {}
  if version > 1 then
    for older = 1, version - 1 do
      standing[#standing + 1] = look('j', name_of(signal, older))
    end
    if version > floor then raise(prefix .. 't:' .. signal, version, expires) end
  end
  out[#out + 1] = claim('r', name_of(signal, version), args[at + 2], expires)
  out[#out + 1] = floor
  out[#out + 1] = standing
  at = at + 4
end
return out
