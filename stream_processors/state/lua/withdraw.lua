-- Own arguments, four forms:
--   'f', signal id, drawer, below, expires, versions -> raises the floor (below 0: only looks); the floor, then for each of so many
--                                              versions that is known: its number, who holds it, what it left standing
--   'p', content, drawer, name, free -> who else holds the content ('' nobody or the name); free 1: the name lets go
--   'u', token, drawer, content, institution, beside -> takes a sighting away
--   'x', key, drawer, member, expires        -> marks a member of a bounded set as taken back (expires 0: it was never there)
local function run()
  local out = {}
  while at <= #args do
    local op = args[at]
    if op == 'f' then
      local signal, drawer, below = args[at + 1], args[at + 2], args[at + 3]
      local claims, added = prefix .. 'r=' .. drawer, prefix .. 'j=' .. drawer
      if below > 0 then raise(claims, signal, below, args[at + 4]) end
      local found = { floor_of(redis.call('HGET', claims, signal .. '/0')) }
      for version = 1, args[at + 5] do
        local name = name_of(signal, version)
        local holder, standing = look(claims, name), look(added, name)
        if holder or standing then
          found[#found + 1] = version
          found[#found + 1] = holder or ''
          found[#found + 1] = standing or ''
        end
      end
      out[#out + 1] = found
      at = at + 6
    elseif op == 'p' then
      local key = prefix .. 'c=' .. args[at + 2]
      local holder = look(key, args[at + 1])
      if holder == args[at + 3] then
        if args[at + 4] == 1 then clear(key, args[at + 1]) end
        holder = nil
      end
      out[#out + 1] = holder or ''
      at = at + 5
    elseif op == 'u' then
      unsee(prefix .. 's:' .. args[at + 1], prefix .. 's=' .. args[at + 2], args[at + 1], args[at + 3], args[at + 4], args[at + 5])
      out[#out + 1] = 1
      at = at + 6
    else
      local key, drawer, name = prefix .. args[at + 1], lodged()
      if args[at + 4] > 0 then
        bury(key, drawer, name, args[at + 3], args[at + 4])
      else
        unput(key, drawer, name, args[at + 3])
      end
      out[#out + 1] = 1
      at = at + 5
    end
  end
  return out
end
