-- KEYS: marks and prefix of each bucket. ARGV: the stamp, and in one MessagePack array for each bucket its checks, sets (field,
-- value)... and own arguments; false for what is as in the bucket before. The answers in one string.
local steps, checks, sets, answers = cmsgpack.unpack(ARGV[2]), nil, nil, {}
for i = 1, #KEYS, 2 do
  local step = (i + 1) / 2 * 3
  marks, prefix, checks, sets = KEYS[i], KEYS[i + 1], steps[step - 2] or checks, steps[step - 1] or sets
  local why = wrong(checks)
  if why then return redis.error_reply(why) end
  if #sets > 0 then redis.call('HSET', marks, unpack(sets)) end
  args, at = steps[step], 1
  answers[#answers + 1] = run()
end
return cmsgpack.pack(answers)
