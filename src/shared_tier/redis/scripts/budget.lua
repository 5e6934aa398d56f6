-- After server.lua: a call budget, KEYS[1], a hash. Its field paused_until (ms) outlives the data set; lease_tokens.lua
-- says what the others are.

local paused_until = tonumber(redis.call('HGET', KEYS[1], 'paused_until') or '0')

-- As Redis keeps it: numbers that are greater than 10^14 would lose digits.
local function whole(number)
  return string.format('%.0f', number)
end
