-- advance: ends the epoch and begins the next. The last entry of the ending epoch's stream leads to the next one.
--
-- That entry is written first, and the epoch's key last: if a write in between failed, replicas would follow the entry
-- to an epoch that is not the current one, and open that anew. Like invalidate it runs even without memory left.
--
-- KEYS   1 the epoch   2 its stream   3 the next epoch's stream
-- ARGV   1 the epoch's id   2 the next id   3 its wrapped secret   4 the replica   5 the payload
--        6 how long entries are kept, ms
-- Reply  1

append(KEYS[2], tonumber(ARGV[6]), 'k', 'a', 'r', ARGV[4], 'v', ARGV[5], 'n', ARGV[2], 's', ARGV[3])
begin_epoch(KEYS[1], KEYS[3], ARGV[2], ARGV[3], tonumber(ARGV[6]))
return 1
