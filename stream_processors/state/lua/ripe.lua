-- Own arguments: a place to go on behind ('' from the beginning), a time in milliseconds, how many at most.
-- Answers how many moments there are, and place and entry of each case whose first moment has come by then, in order.
local function run()
  local behind, left = args[1], args[3]
  local last = '(' .. struct.pack('>I6', args[2] + 1)
  local out = { tonumber(redis.call('HGET', prefix .. 'n', 'open') or '0') }
  local part = behind == '' and '' or part_of(behind)
  local from = behind == '' and '-' or '(' .. behind
  while part do
    for _, place in ipairs(redis.call('ZRANGEBYLEX', prefix .. 'd:' .. part, from, last, 'LIMIT', 0, left)) do
      local case = string.sub(place, 7)
      out[#out + 1] = place
      out[#out + 1] = redis.call('HGET', entries_of(case), case) or ''
      left = left - 1
    end
    if left == 0 then break end
    part = redis.call('ZRANGEBYLEX', prefix .. 'o', '(' .. part, last, 'LIMIT', 0, 1)[1]
  end
  return out
end
