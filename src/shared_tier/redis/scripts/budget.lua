-- After server.lua: a call budget, KEYS[1], a hash of replid, tokens, at (when those were counted, µs), paused_until
-- (ms), expected and expected_until (ms). Tokens of another data set are not used, since calls after its copy are not
-- counted.

local micros = time[1] * 1000000 + time[2]
local budget = redis.call('HMGET', KEYS[1], 'replid', 'tokens', 'at', 'paused_until', 'expected', 'expected_until')
local paused_until = tonumber(budget[4] or '0')
local tokens, at = 0, micros
if budget[1] == replid then
  tokens, at = tonumber(budget[2]), tonumber(budget[3])
end

local function write_budget(tokens_now, at_now, paused)
  redis.call('HSET', KEYS[1], 'replid', replid, 'tokens', string.format('%.6f', tokens_now),
    'at', string.format('%.0f', at_now), 'paused_until', string.format('%.0f', paused))
  redis.call('PEXPIRE', KEYS[1], KEEP)
end
