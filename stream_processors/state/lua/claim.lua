-- Own arguments: (signal id, value, expires)...  Answer: who holds each reference, '' for the caller.
local out = {}
while at <= #args do
  out[#out + 1] = claim(prefix .. 'r:' .. args[at], args[at + 1], args[at + 2])
  at = at + 3
end
return out
