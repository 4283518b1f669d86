-- Puts the records. A record that stands already is kept and given back.
-- KEYS are the names' shared hashes, all of one bucket. ARGV: an argument, a time to live in ms, the names, then what the script
-- needs of each.
local held = {}
for i = 1, #KEYS do
  local standing, head = look(KEYS[i], ARGV[i + 2])
  held[i] = standing and string.sub(standing, 1, 1) == 'R' and standing or false -- nil would end the answer
  if not held[i] then lay(KEYS[i], ARGV[i + 2], ARGV[2 + #KEYS + i], now() + ARGV[2], head) end
end
return held
