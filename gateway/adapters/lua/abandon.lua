-- Frees what this owner locked.
-- KEYS are the names' shared hashes, all of one bucket. ARGV: an argument, a time to live in ms, the names, then what the script
-- needs of each.
for i = 1, #KEYS do
  if look(KEYS[i], ARGV[i + 2]) == ARGV[1] then clear(KEYS[i], ARGV[i + 2]) end
end
return {}
