-- rewrap: replaces the epoch's wrapped secret if it is the given one.
--
-- KEYS   1 the epoch
-- ARGV   1 the epoch's id   2 the old wrapped secret   3 the new one
-- Reply  1 if it was replaced, else 0

redis.call('PEXPIRE', KEYS[1], KEEP)
if redis.call('HGET', KEYS[1], 'secret') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'secret', ARGV[3])
return 1
