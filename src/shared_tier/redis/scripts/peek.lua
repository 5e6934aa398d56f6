-- peek: what is stored and fresh, for operators. Writes nothing.
--
-- KEYS   1 the epoch   2 the stream   3 the marks   4 the contact or alias
-- ARGV   1 the epoch's id   2 `c` or `a`   3 the contact's name   4 what keys of contacts begin with
--        5 the number of parts   6 the parts that can be marked (bits)
-- Reply  now, the rest of the longest lease in ms, the alias's value, the contact it leads to, each part's value, each
--        part's entity-only rest in ms, 1 if the contact was purged or evicted since the alias was stored

local parts = tonumber(ARGV[5])
local name, key, generation, alias, leads_to = ARGV[3], KEYS[4], nil, false, false
if ARGV[2] == 'a' then
  local found = redis.call('HMGET', KEYS[4], 'v', 'c', 'g')
  name, key = false, false
  if found[1] and is_usable(found[1], math.huge) then
    alias, leads_to = found[1], found[2]
    if found[2] then
      name, key, generation = found[2], ARGV[4] .. found[2], found[3]
    end
  end
end
local gone = 0
if generation and redis.call('HGET', key, 'g') ~= generation then
  name, key, gone = false, false, 1
end

local reply, busy = { now, 0, alias, leads_to }, 0
for part = 0, parts - 1 do
  local value = key and redis.call('HGET', key, 'p' .. part)
  reply[5 + part] = value and is_usable(value, math.huge) and value
end
local ends = key and entity_only_ends(name, parts, tonumber(ARGV[6]))
for part = 0, parts - 1 do
  reply[5 + parts + part] = ends and math.max(ends[part] - now, 0) or 0
end
for _, lease in ipairs(other_leases(redis.call('HGET', KEYS[4], 'l') or '')) do
  busy = math.max(busy, lease.till - now)
end
reply[2] = busy
reply[5 + 2 * parts] = gone
return reply
