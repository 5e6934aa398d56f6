-- open: returns the current epoch. Where there is none, or it began in another data set, the offered one begins.
--
-- KEYS   1 the epoch   2 the stream of the offered epoch
-- ARGV   1 the prefix of all keys   2 the offered id   3 its wrapped secret   4 how long its stream is kept, ms
-- Reply  id, wrapped secret, position of the last entry, now

local current = redis.call('HMGET', KEYS[1], 'id', 'replid', 'secret')
if current[1] and current[2] == replid and current[3] then
  redis.call('PEXPIRE', KEYS[1], KEEP)
  return { current[1], current[3], last_entry(ARGV[1] .. current[1] .. ':s'), now }
end
local position = begin_epoch(KEYS[1], KEYS[2], ARGV[2], ARGV[3], tonumber(ARGV[4]))
return { ARGV[2], ARGV[3], position, now }
