-- Takes the lock of every name that has neither lock nor record; gives what stands there else. A lock that has longer to live
-- than any is given is from before the clock was set back: its owner is gone, and nobody waits for hours because of it.
-- KEYS are the names' shared hashes, all of one bucket. ARGV: an argument, a time to live in ms, the names, then what the script
-- needs of each.
local held = {}
for i = 1, #KEYS do
  local name = ARGV[i + 2]
  local standing, head = look(KEYS[i], name)
  if standing and string.sub(standing, 1, 1) == 'L' then
    local ends = struct.unpack('>I6', redis.call('HGET', KEYS[i], name))
    if ends - now() > tonumber(ARGV[2]) then standing = nil end
  end
  held[i] = standing and standing ~= ARGV[1] and standing or false -- nil would end the answer
  if not held[i] then lay(KEYS[i], name, ARGV[1], now() + ARGV[2], head) end
end
return held
