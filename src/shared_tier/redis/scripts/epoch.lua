-- After server.lua, in every script that runs within an epoch: nothing is read or written unless the caller's epoch is
-- the current one, and began in the server's present data set. So nothing from before a flush, a restart, a failover or
-- an advance is used after it.
--
-- KEYS[1]  the epoch: a hash of id, replid, secret, negatives (the number of negative invalidations), marked_until and
--          unsure_until (see entity_only.lua)
-- ARGV[1]  the id of the caller's epoch

local epoch = redis.call('HMGET', KEYS[1], 'id', 'replid', 'negatives', 'marked_until', 'unsure_until')
if epoch[1] ~= ARGV[1] or epoch[2] ~= replid then
  return { err = 'EPOCH another epoch' }
end
local negatives = epoch[3]
