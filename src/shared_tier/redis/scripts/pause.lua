-- pause: no tokens of a budget are leased before the pause has passed. A pause never shortens another.
--
-- KEYS   1 the budget
-- ARGV   1 the pause, ms
-- Reply  1

redis.call('HSET', KEYS[1], 'paused_until', whole(math.max(paused_until, now + tonumber(ARGV[1]))))
redis.call('PEXPIRE', KEYS[1], KEEP)
return 1
