-- lease_tokens: at most `rate` tokens a second and `burst` at once, over all replicas. Replicas that may be cut off,
-- and use their own share, are subtracted: the bucket fills by the share of those that are alive.
--
-- KEYS   1 the budget   2 the replicas (see beat.lua)
-- ARGV   1 the replica   2 tokens a second   3 the burst   4 how many are wanted   5 the replicas that this one knows
--        6 1 if it may have called within its own share
-- Reply  tokens, the ms until the next, the rest of a pause in ms, replicas
--
-- Of the replicas that were seen within ten minutes, those seen within two seconds are alive. After the set was lost,
-- the greatest number that a replica knew within ten seconds counts, if that is more. The number is not part of the
-- reply, which replicas send back.

local rate, burst, wanted = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local alive = redis.call('ZCOUNT', KEYS[2], string.format('(%.0f', now - 2000), '+inf')
local members = redis.call('ZCOUNT', KEYS[2], string.format('(%.0f', now - 600000), '+inf')
local seen = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or '0')
if seen <= now - 2000 then
  alive = alive + 1
end
if seen <= now - 600000 then
  members = members + 1
end

local known, expected, expected_until = tonumber(ARGV[5]), tonumber(budget[5] or '0'), tonumber(budget[6] or '0')
if known >= expected or expected_until <= now then
  expected, expected_until = known, now + 10000
end
redis.call('HSET', KEYS[1], 'expected', expected, 'expected_until', string.format('%.0f', expected_until))

local fill = rate * alive / math.max(members, expected)
if ARGV[6] == '1' then
  tokens, at = 0, micros
end
-- After the server's clock was set back, nothing is added.
tokens = math.min(burst, tokens + fill * math.max(micros - at, 0) / 1000000)

local pause = math.max(paused_until - now, 0)
local granted = 0
if pause == 0 then
  granted = math.min(wanted, math.floor(tokens))
end
tokens = tokens - granted
write_budget(tokens, micros, paused_until)

local wait = 0
if granted == 0 then
  wait = math.max(math.ceil(math.max(1 - tokens, 0) * 1000 / fill), pause)
end
return { granted, wait, pause, members }
