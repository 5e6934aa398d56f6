-- Begins every script: the server's time and data set.
--
-- Before this comes a line `#!lua`, with flags, but for fetch. It makes the server decide whether a script may write
-- before it runs: a replica, or a server that can't save, refuses the whole script, and one without memory left refuses
-- it unless the flags allow it. Without the line the server checks each command until the first write, and lets all
-- that follow pass; so a PEXPIRE or DEL as the first write would hide that there is no memory left.

local time = redis.call('TIME')
-- Milliseconds, as in the positions of the stream.
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- The data set: another after a restart and after a failover. A plain search is quicker than a pattern.
local info = redis.call('INFO', 'replication')
local _, field = string.find(info, 'master_replid:', 1, true)
local replid = string.sub(info, field + 1, field + 40)
-- How long keys live that each operation needs.
local KEEP = 7 * 24 * 60 * 60 * 1000

-- Makes a key live for at least so long. A key never lives shorter than before.
local function extend(key, ms)
  local left = redis.call('PTTL', key)
  if left < 0 or left < ms then
    redis.call('PEXPIRE', key, string.format('%.0f', math.max(ms, 1)))
  end
end
