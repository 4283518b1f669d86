-- Puts a text where none stands; gives the one that does.
-- KEYS are the names' shared hashes, all of one bucket. ARGV: an argument, a time to live in ms, the names, then what the script
-- needs of each.
local standing, head = look(KEYS[1], ARGV[3])
if not standing then lay(KEYS[1], ARGV[3], ARGV[1], now() + ARGV[2], head) end
return standing or ARGV[1]
