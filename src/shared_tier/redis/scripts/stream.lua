-- The log of invalidations. An entry has the fields p (the position of the entry before it, 0-0 for the first), k (its
-- kind: h heartbeat, i invalidation, a advance), and by kind: r (the replica), c (what is covered, see invalidate.lua),
-- v (the payload), n and s (the next epoch's id and wrapped secret).

-- The position of the last entry, 0-0 if there is none.
local function last_entry(stream)
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return newest and newest[1] or '0-0'
end

-- Appends an entry of these fields, and drops entries that are older than `keep` milliseconds. Returns its position.
local function append(stream, keep, ...)
  local previous = last_entry(stream)
  local position = '*'
  if previous == '0-0' and redis.call('EXISTS', stream) == 0 then
    -- The stream may have been evicted a moment ago. A first entry with the position that an entry had then would let a
    -- lease from before pass; so its number within the millisecond is unpredictable.
    local digest = redis.sha1hex(time[1] .. '.' .. time[2] .. table.concat(ARGV))
    position = string.format('%.0f-%.0f', now, tonumber(string.sub(digest, 1, 8), 16))
  end
  local oldest = string.format('%.0f', math.max(now - keep, 0))
  position = redis.call('XADD', stream, 'MINID', '~', oldest, position, 'p', previous, ...)
  redis.call('PEXPIRE', stream, string.format('%.0f', 2 * keep))
  return position
end
