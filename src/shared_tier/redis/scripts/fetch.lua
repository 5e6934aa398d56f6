-- fetch: returns what is usable of a contact, or of an alias and the contact that it leads to. If that does not serve
-- the flight, leases the right to call, unless another replica has that lease and this flight waits for it. The lease is
-- granted with the position of the stream at this moment.
--
-- A server without memory left still serves what it has, and refuses leases, whose values it would refuse too: the
-- script has no `#!lua` line, and a lease is the first thing that it writes (see server.lua).
--
-- KEYS   1 the epoch   2 the stream   3 the marks   4 the contact or alias
-- ARGV   1 the epoch's id   2 `c` or `a`   3 the contact's name   4 what keys of contacts begin with
--        5 the needed parts   6 the fetched parts   7 the parts that can be marked (bits)   8 1 if it waits
--        9 the lease's token   10 its length, ms   11 the greatest age of the alias   12 … of each part, ms
-- Reply  now, the outcome (0 served, 1 leased, 2 busy), position or ms, number of negative invalidations,
--        the alias's value, the contact it leads to, each part's value, each part's entity-only rest in ms
--
-- An alias is a hash of v (the value), c and g (the contact and its generation) or n (a negative one: the number of
-- negative invalidations when it was leased), and l. A contact is a hash of g, l and the values.

local parts = #ARGV - 11
local needed, fetched = tonumber(ARGV[5]), tonumber(ARGV[6])
local name, key, generation, alias, leases = ARGV[3], KEYS[4], nil, false, nil
local served = true

if ARGV[2] == 'a' then
  local found = redis.call('HMGET', KEYS[4], 'v', 'c', 'g', 'n', 'l')
  name, key, leases = false, false, found[5]
  if found[1] and is_usable(found[1], tonumber(ARGV[11])) then
    if found[2] then
      name, key, generation = found[2], ARGV[4] .. found[2], found[3]
      alias = found[1]
    elseif found[4] == negatives then
      alias = found[1]
    end
  end
  served = alias ~= false
end

local values, ends, have = {}, {}, 0
for part = 1, parts do
  values[part], ends[part] = false, 0
end
if key then
  local fields = { 'g', 'l' }
  for part = 0, parts - 1 do
    fields[#fields + 1] = 'p' .. part
  end
  local found = redis.call('HMGET', key, unpack(fields))
  if ARGV[2] == 'c' then
    leases = found[2]
  end
  if generation and generation ~= found[1] then
    -- The contact was purged or evicted since.
    alias, name, served = false, false, false
  else
    for part = 0, parts - 1 do
      local value = found[part + 3]
      if value and is_usable(value, tonumber(ARGV[12 + part])) then
        values[part + 1] = value
        have = have + bit.lshift(1, part)
      end
    end
    local till = entity_only_ends(name, parts, tonumber(ARGV[7]))
    for part = 0, parts - 1 do
      ends[part + 1] = math.max(till[part] - now, 0)
      if ARGV[2] == 'a' and till[part] > now then
        -- The call that resolves the alias could not fill it.
        needed = bit.band(needed, bit.bnot(bit.lshift(1, part)))
      end
    end
    served = served and bit.band(needed, bit.bnot(have)) == 0
  end
end

local reply = { now, 0, 0, negatives, alias, name }
if not served then
  local others, busy = other_leases(leases, ARGV[9]), 0
  for _, other in ipairs(others) do
    local is_same = ARGV[2] == 'a' or bit.band(other.mask, fetched) ~= 0
    if is_same and not is_of_same_replica(other.token, ARGV[9]) then
      busy = math.max(busy, other.till - now)
    end
  end
  if ARGV[8] == '1' and busy > 0 then
    reply[2], reply[3] = 2, busy
  else
    local length = tonumber(ARGV[10])
    others[#others + 1] = { mask = fetched, token = ARGV[9], till = now + length }
    write_leases(KEYS[4], others)
    extend(KEYS[4], length)
    reply[2], reply[3] = 1, last_entry(KEYS[2])
  end
end
redis.call('PEXPIRE', KEYS[1], KEEP)
for part = 1, parts do
  reply[6 + part], reply[6 + parts + part] = values[part], ends[part]
end
return reply
