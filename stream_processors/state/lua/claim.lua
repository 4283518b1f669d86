-- Own arguments: (signal id, value, expires)...  Answer: who holds each reference, '' for the caller.
local out = {}
while at <= #ARGV do
  out[#out + 1] = claim(prefix .. 'r:' .. ARGV[at], ARGV[at + 1], ARGV[at + 2])
  at = at + 3
end
return out
