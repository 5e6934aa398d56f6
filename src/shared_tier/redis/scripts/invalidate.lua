-- invalidate: drops what an invalidation covers, and appends it to the stream, unless its message is remembered.
--
-- The entry is written before anything is dropped. What can fail is refused before the script runs (see server.lua),
-- and if an append failed all the same, nothing would have been dropped without an entry, which would leave old data in
-- the memories of other replicas. The message is remembered last, so that it is never taken for applied too early.
--
-- It runs even if the server is out of memory: it drops more than it writes, and a full server must not keep old data.
--
-- KEYS   1 the epoch   2 the stream   3 the marks   4 the message, or nothing
-- ARGV   1 the epoch's id   2 what is covered   3 what keys of contacts begin with   4 … of aliases
--        5 1 if negative values end   6 for how long parts are marked, ms   7 the parts that can be marked (bits)
--        8 for how long the message is remembered, ms   9 the replica   10 the payload
--        11 how long entries are kept, ms
-- Reply  the position of the entry, or nil if the message is remembered
--
-- What is covered: 17 bytes for each contact or alias, its name and what of it. 0x40: an alias; 0x80: a purge of the
-- contact; else a bit for each part.

redis.call('PEXPIRE', KEYS[1], KEEP)
if KEYS[4] and redis.call('EXISTS', KEYS[4]) == 1 then
  return false
end
local records, markable, length = ARGV[2], tonumber(ARGV[7]), tonumber(ARGV[6])
local position = append(KEYS[2], tonumber(ARGV[11]), 'k', 'i', 'r', ARGV[9], 'c', records, 'v', ARGV[10])
if ARGV[5] == '1' then
  redis.call('HINCRBY', KEYS[1], 'negatives', 1)
end

-- Drops values of parts, and takes the parts out of the leases of others.
local function drop(key, bits)
  local fields = {}
  for part = 0, 5 do
    if bit.band(bits, bit.lshift(1, part)) ~= 0 then
      fields[#fields + 1] = 'p' .. part
    end
  end
  redis.call('HDEL', key, unpack(fields))
  local text = redis.call('HGET', key, 'l')
  if text then
    local leases = {}
    for _, lease in ipairs(other_leases(text)) do
      lease.mask = bit.band(lease.mask, bit.bnot(bits))
      if lease.mask ~= 0 then
        leases[#leases + 1] = lease
      end
    end
    write_leases(key, leases)
  end
end

for record = 1, #records, 17 do
  local name, bits = string.sub(records, record, record + 15), string.byte(records, record + 16)
  if bits == 0x40 then
    redis.call('DEL', ARGV[4] .. name)
  else
    if bits >= 0x80 then
      redis.call('DEL', ARGV[3] .. name)
      bits = markable
    elseif bits ~= 0 then
      drop(ARGV[3] .. name, bits)
    end
    bits = bit.band(bits, markable)
    if length > 0 and bits ~= 0 then
      mark_entity_only(name, bits, now + length)
    end
  end
end
if length > 0 then
  prune_marks()
end
if KEYS[4] then
  redis.call('SET', KEYS[4], '', 'PX', math.max(tonumber(ARGV[8]), 1))
end
return position
