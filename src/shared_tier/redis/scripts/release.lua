-- release: gives up a lease.
--
-- KEYS   1 the epoch   2 the contact or alias
-- ARGV   1 the epoch's id   2 the lease's token
-- Reply  1

redis.call('PEXPIRE', KEYS[1], KEEP)
give_up_lease(KEYS[2], ARGV[2])
return 1
