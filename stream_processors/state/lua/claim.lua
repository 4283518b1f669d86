-- Own arguments: (signal id, drawer, version, value, expires)...  Answer, three for each: who holds the reference ('' the caller), the
-- floor below which versions are dead, and what older versions left standing. A newer version makes the older ones dead.
local function run()
  local out = {}
  while at <= #args do
    local signal, drawer, version, expires = args[at], args[at + 1], args[at + 2], args[at + 4]
    local key, name, standing = prefix .. 'r=' .. drawer, name_of(signal, version), {}
    local found = redis.call('HMGET', key, '', name, signal .. '/0')
    local holder, floor = live(found[2]) or '', floor_of(found[3])
    if holder == '' then lay(key, name, args[at + 3], expires, found[1]) end
    if version > 1 then
      for older = 1, version - 1 do
        standing[#standing + 1] = look(prefix .. 'j=' .. drawer, name_of(signal, older))
      end
      if version > floor then raise(key, signal, version, expires) end
    end
    out[#out + 1] = holder
    out[#out + 1] = floor
    out[#out + 1] = standing
    at = at + 5
  end
  return out
end
