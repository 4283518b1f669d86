-- Own arguments, four forms; each answers at once, and a member or content of '' is an echo's: it reads and adds nothing.
--   'c', content, drawer, name, expires, subject, drawer -> who holds the content ('' the caller), the subject's case queues
--   's', token, drawer, content, institution, occurred, window start, trim before, expires, now, queues
--      -> sightings, institutions since start, confirmed cases that still count, primary subjects that it was seen beside since
--         start (counted where they may be more than FEW_PRIMARIES), if `queues` is 1 its case queues
--   'v', token, drawer, member, at, before, wanted kind, earliest, latest, most, expires
--      -> marks of this victim up to before, the shortest time to a mark of the wanted kind (-1 none)
--   'f', token, way, other end, at, window, passing time, lowest, highest, currency, member, most, expires
--      -> transfers with this other end by one reporter, different other ends, how long the money was held (-1 not)
local out

local FEW_PRIMARIES = 4 -- no policy has a lower bound; with more of them a set has at least five sightings beside
local function queues_of(drawer, token)
  local queues = {}
  for _, one in ipairs((members_of(prefix .. 'k=' .. drawer, token))) do
    if one[2] > now() then queues[#queues + 1] = one[1] end
  end
  return queues
end

local function content()
  out[#out + 1] = take(prefix .. 'c=' .. args[at + 2], args[at + 1], args[at + 3], args[at + 4])
  out[#out + 1] = queues_of(args[at + 6], args[at + 5])
  at = at + 7
end

local function suspect()
  local token, content, since, trim = args[at + 1], args[at + 3], args[at + 6], args[at + 7]
  local key, drawer, size, primaries = prefix .. 's:' .. token, prefix .. 's=' .. args[at + 2], nil, 0
  if content ~= '' then
    size = see(key, drawer, token, content, args[at + 4], args[at + 5], args[at + 8])
  else
    size = redis.call('ZCARD', key)
  end
  if size == 0 then
    local entry = redis.call('HGET', drawer, token)
    local counts = live(entry) and lone(entry) > tonumber(since) and 1 or 0
    out[#out + 1] = counts
    out[#out + 1] = counts
  else
    if size > 64 then
      redis.call('ZREMRANGEBYSCORE', key, 0, trim)
      redis.call('ZREMRANGEBYSCORE', key, '-' .. trim, 0)
      redis.call('ZREMRANGEBYSCORE', key, far(trim), far(0))
    end
    out[#out + 1] = redis.call('ZCOUNT', key, '(' .. since, '+inf')
    out[#out + 1] = redis.call('ZCOUNT', key, far(-1), '(-' .. since)
    if size > 2 * FEW_PRIMARIES then primaries = redis.call('ZCOUNT', key, '-inf', '(' .. far(since)) end
  end
  out[#out + 1] = redis.call('ZCOUNT', prefix .. 'd:' .. token, '(' .. args[at + 9], '+inf')
  out[#out + 1] = primaries
  out[#out + 1] = args[at + 10] == 1 and queues_of(args[at + 2], token) or {}
  at = at + 11
end

local function victim()
  local token, member, when, upto, wanted = args[at + 1], args[at + 3], args[at + 4], args[at + 5], args[at + 6]
  local key, drawer, nearest = prefix .. 'v:' .. token, prefix .. 'v=' .. args[at + 2], -1
  if member ~= '' then put(key, drawer, token, when, member, args[at + 9], args[at + 10]) end
  local entry, before, found = redis.call('HGET', drawer, token), 0, {}
  if live(entry) then
    local stood, other = only(entry)
    if stood <= upto then before = 1 end
    if stood >= args[at + 7] and stood <= args[at + 8] then found = { other, stood } end
  else
    before = redis.call('ZCOUNT', key, '-inf', upto)
    if wanted ~= '' then found = redis.call('ZRANGEBYSCORE', key, args[at + 7], args[at + 8], 'WITHSCORES') end
  end
  local counts = counting(key)
  if counts then
    before = 0
    for _, one in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', upto)) do
      if counts(one) then before = before + 1 end
    end
  end
  out[#out + 1] = before
  for i = 1, #found, 2 do
    local gap = math.abs(found[i + 1] - when)
    local right = string.sub(found[i], 1, 1) == wanted and (not counts or counts(found[i]))
    if right and (nearest < 0 or gap < nearest) then nearest = gap end
  end
  out[#out + 1] = nearest
  at = at + 11
end

-- A member: way (1), other end (11), reporter (8), content (11), amount and currency (domain/signals/evidence_sets.py).
local function flow()
  local key, way, other, when = prefix .. 'f:' .. args[at + 1], args[at + 2], args[at + 3], args[at + 4]
  local window, passing, lowest, highest, currency = args[at + 5], args[at + 6], args[at + 7], args[at + 8], args[at + 9]
  if args[at + 10] ~= '' then put(key, nil, nil, when, args[at + 10], args[at + 11], args[at + 12]) end
  local far = math.max(window, passing)
  local found = redis.call('ZRANGEBYSCORE', key, when - far, when + far, 'WITHSCORES')
  local ends, fan, by, same, held, counts = {}, 0, {}, 0, -1, counting(key)
  for i = 1, #found, 2 do
    local member, apart = found[i], found[i + 1] - when
    local one = string.sub(member, 2, 12)
    if counts and not counts(member) then
      one = nil
    elseif string.sub(member, 1, 1) == way then
      if math.abs(apart) < window then
        if not ends[one] then
          ends[one] = true
          fan = fan + 1
        end
        if one == other then
          local who = string.sub(member, 13, 20)
          by[who] = (by[who] or 0) + 1
          same = math.max(same, by[who])
        end
      end
    elseif one ~= other then -- money that goes back to whom it came from is not passed through
      local gap = way == 'o' and -apart or apart
      local amount, unit = string.match(member, '^(%d+)(%u*)$', 32)
      amount = tonumber(amount)
      local nearly = unit == currency and amount >= lowest and amount <= highest
      if nearly and gap >= 0 and gap <= passing and (held < 0 or gap < held) then held = gap end
    end
  end
  out[#out + 1] = same
  out[#out + 1] = fan
  out[#out + 1] = held
  at = at + 13
end

local forms = { c = content, s = suspect, v = victim, f = flow }
local function run()
  out = {}
  while at <= #args do forms[args[at]]() end
  return out
end
