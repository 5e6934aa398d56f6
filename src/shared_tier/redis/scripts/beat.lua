-- beat: notes that a replica is alive, or leaves, and appends a heartbeat if the last entry is old. Like invalidate it
-- runs even without memory left: otherwise memories would be distrusted although every invalidation is written.
--
-- KEYS   1 the epoch   2 the stream   3 the replicas: a sorted set, by when each was seen, ms
-- ARGV   1 the epoch's id   2 the replica   3 1 if it leaves   4 the interval, ms   5 how long entries are kept, ms
-- Reply  now, replicas alive, the position of the last entry

redis.call('PEXPIRE', KEYS[1], KEEP)
local interval = tonumber(ARGV[4])
if ARGV[3] == '1' then
  redis.call('ZREM', KEYS[3], ARGV[2])
else
  redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[2])
end
-- Forgotten: ten minutes after the last call.
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - 600000))
redis.call('PEXPIRE', KEYS[3], KEEP)
local alive = redis.call('ZCOUNT', KEYS[3], string.format('(%.0f', now - 4 * interval), '+inf')

local last = last_entry(KEYS[2])
-- An entry of the future was written before the server's clock was set back.
if math.abs(now - tonumber(string.match(last, '^%d+'))) >= interval then
  last = append(KEYS[2], tonumber(ARGV[5]), 'k', 'h')
end
return { now, alive, last }
