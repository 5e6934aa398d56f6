-- store: stores what a flight fetched, but for what an invalidation since the lease covers, and gives up the lease. The
-- stream decides, not the lease: its entries since the lease's position are read, and if the entry at that position is
-- missing, one in between is, or there are too many, everything counts as covered. Of two values the one that was
-- requested later stays.
--
-- KEYS   1 the epoch   2 the stream   3 the marks   4 the contact or alias that was leased   5 the contact, if any
-- ARGV   1 the epoch's id   2 `c` or `a`   3 the name of what was leased   4 the contact's name, or nothing
--        5 the lease's token   6 its position   7 its number of negative invalidations   8 when it was requested, ms
--        9 a new generation   10 the most entries since the lease   11 the parts from the overview
--        12 the parts that can be marked (bits)   13 the alias's lifetime, or nothing   14 its sealed value
--        15 … three for each part: lifetime or nothing, sealed value, ms to be marked or 0
-- Reply  overtaken parts, 1 if the alias was overtaken, stored parts, 1 if the alias was stored

redis.call('PEXPIRE', KEYS[1], KEEP)
give_up_lease(KEYS[4], ARGV[5])
local parts = (#ARGV - 14) / 3
local name, requested = ARGV[4], tonumber(ARGV[8])
local alias = ARGV[2] == 'a' and ARGV[3] or ''

local covered, is_alias_covered = entries_since(ARGV[6], tonumber(ARGV[10]), name, alias, parts)
local overtaken, alias_overtaken = 0, 0
if ARGV[13] ~= '' then
  alias_overtaken = is_alias_covered
end

-- When a value of this lifetime is not fresh any more, from now.
local function rest(lifetime)
  return tonumber(lifetime) - math.max(now - requested, 0)
end

local stored, longest = 0, 0
if name ~= '' then
  local overview, ends = tonumber(ARGV[11]), entity_only_ends(name, parts, tonumber(ARGV[12]))
  local marked = false
  for part = 0, parts - 1 do
    local place, bits = 15 + 3 * part, bit.lshift(1, part)
    local lifetime, field = ARGV[place], 'p' .. part
    local is_barred = bit.band(overview, bits) ~= 0 and ends[part] > now
    local is_covered = bit.band(covered, bits) ~= 0
    if lifetime ~= '' and is_covered then
      overtaken = overtaken + bits
    elseif lifetime ~= '' and not is_barred then
      local before = redis.call('HGET', KEYS[5], field)
      if not before or requested_at(before) < requested then
        redis.call('HSET', KEYS[5], field, ARGV[8] .. ' ' .. lifetime .. ' ' .. ARGV[place + 1])
        stored = stored + bits
        longest = math.max(longest, rest(lifetime))
      end
    end
    if ARGV[place + 2] ~= '0' and not is_covered then
      mark_entity_only(name, bits, now + tonumber(ARGV[place + 2]))
      marked = true
    end
  end
  if marked then
    prune_marks()
  end
end

local alias_stored = 0
if ARGV[13] ~= '' and alias_overtaken == 0 then
  local before = redis.call('HGET', KEYS[4], 'v')
  if not before or requested_at(before) < requested then
    redis.call('HSET', KEYS[4], 'v', ARGV[8] .. ' ' .. ARGV[13] .. ' ' .. ARGV[14])
    alias_stored = 1
    extend(KEYS[4], rest(ARGV[13]))
    longest = math.max(longest, rest(ARGV[13]))
  end
end
if name ~= '' and (stored ~= 0 or alias_stored == 1) then
  redis.call('HSETNX', KEYS[5], 'g', ARGV[9])
  extend(KEYS[5], longest)
end
if alias_stored == 1 then
  if name ~= '' then
    redis.call('HDEL', KEYS[4], 'n')
    redis.call('HSET', KEYS[4], 'c', name, 'g', redis.call('HGET', KEYS[5], 'g'))
  else
    redis.call('HDEL', KEYS[4], 'c', 'g')
    redis.call('HSET', KEYS[4], 'n', ARGV[7])
  end
end
return { overtaken, alias_overtaken, stored, alias_stored }
