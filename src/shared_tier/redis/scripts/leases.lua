-- Leases, in the field l of a contact's or an alias's hash: `MASK TOKEN END;` for each, the latest last. MASK has a bit
-- for each part. All tokens of a replica have the same upper half.

local MOST_LEASES = 16

-- The leases that have not ended, but for the one of `token`.
local function other_leases(text, token)
  local others = {}
  for mask, other, till in string.gmatch(text or '', '(%d+) (%x+) (%d+);') do
    if other ~= token and tonumber(till) > now then
      others[#others + 1] = { mask = tonumber(mask), token = other, till = tonumber(till) }
    end
  end
  return others
end

-- Whether two tokens are of one replica.
local function is_of_same_replica(token, other)
  return string.sub(token, 1, 8) == string.sub(other, 1, 8)
end

-- Writes leases, the latest of them if there are too many. A hash without other fields is gone with its last lease.
local function write_leases(key, leases)
  local texts = {}
  for index = math.max(1, #leases - MOST_LEASES + 1), #leases do
    local lease = leases[index]
    texts[#texts + 1] = string.format('%d %s %.0f;', lease.mask, lease.token, lease.till)
  end
  if #texts == 0 then
    redis.call('HDEL', key, 'l')
  else
    redis.call('HSET', key, 'l', table.concat(texts))
  end
end

-- Gives up the lease of `token`.
local function give_up_lease(key, token)
  local text = redis.call('HGET', key, 'l')
  if text and string.find(text, token, 1, true) then
    write_leases(key, other_leases(text, token))
  end
end
