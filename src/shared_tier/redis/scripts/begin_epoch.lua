-- After server.lua and stream.lua: makes an epoch the current one, with a stream of one heartbeat. The epoch's key is
-- written last, so that the stream is there when the epoch is. Returns the position of the heartbeat.
local function begin_epoch(key, stream, id, secret, keep)
  local position = append(stream, keep, 'k', 'h')
  redis.call('DEL', key)
  redis.call('HSET', key, 'id', id, 'replid', replid, 'secret', secret, 'negatives', 0)
  redis.call('PEXPIRE', key, KEEP)
  return position
end
