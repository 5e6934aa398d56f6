-- lease_tokens: a replica lends its share of a call budget until a time, leases tokens, says which it holds, and gives
-- back what it does not need.
--
-- KEYS   1 the budget
-- ARGV   1 the replica   2 the number of its command   3 tokens a second   4 the burst   5 how many are wanted
--        6 how many are held   7 how many are given back   8 the replicas that this one knows   9 until when it lends its
--        share (ms of the server's clock), or `leaves`
-- Reply  tokens, the ms until the next where there are fewer than wanted, the rest of a pause in ms, replicas
--
-- Guarantees: all calls with leased tokens, and those of replicas that call within their own share, are at most
-- rate x T + burst in any T seconds, if a replica uses a token within LEASE of sending the command or not at all, and
-- calls within its own share no sooner than LEASE after the last time until which it lent that. For
--
-- - the bucket fills at the rate times the shares that are lent, and holds the burst times those, less the tokens that
--   may still be used: those that a replica has not reported as used or given back;
-- - the share of a replica that neither lends it nor left is not used for MEMORY;
-- - another data set, or a lost one, has no tokens, fills only when none of the one before may be used, and has as many
--   shares as any replica knows for MEMORY;
-- - a command that was overtaken by a later one changes nothing.
--
-- Fields: replid, the data set; began (ms), when its budget did; tokens; at (µs), when those were counted; known, the
-- replicas that one knew; paused_until; and `r:` and a replica: `number seen lent_until held held_until`, times in ms.

local LEASE, MEMORY = 100, 600000
-- No replica lends its share for longer: such a time was reckoned before the server's clock was set back.
local LONGEST_LOAN = 10000

local replica, number = 'r:' .. ARGV[1], tonumber(ARGV[2])
local rate, burst, wanted = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local micros = time[1] * 1000000 + time[2]

-- What is known.
local budget, replicas_of = {}, {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  budget[fields[i]] = fields[i + 1]
end
if budget.replid ~= replid then
  redis.call('DEL', KEYS[1])
  budget = { began = now, tokens = 0, at = micros + LEASE * 1000, known = 1 }
end
local began, tokens, known = tonumber(budget.began), tonumber(budget.tokens), tonumber(budget.known)
-- A time of the future was noted before the clock was set back.
local at = math.min(tonumber(budget.at), micros + LEASE * 1000)

local function loan(until_time)
  return until_time <= now + LONGEST_LOAN and until_time or 0
end

local own = { number = 0, lent_until = 0, held = 0, held_until = 0 }
local others = 0
for field, value in pairs(budget) do
  if string.sub(field, 1, 2) == 'r:' then
    local it = {}
    it.number, it.seen, it.lent_until, it.held, it.held_until = string.match(value, '(%d+) (%d+) (%d+) (%d+) (%d+)')
    for name, text in pairs(it) do
      it[name] = tonumber(text)
    end
    it.lent_until = loan(it.lent_until)
    it.held_until = math.min(it.held_until, now + LEASE)
    if now >= it.seen + MEMORY then
      redis.call('HDEL', KEYS[1], field)
    else
      replicas_of[field] = it
      if field == replica then
        own = it
      else
        others = others + 1
      end
    end
  end
end

-- Of how many shares the budget consists, and how many of them are lent.
local function shares(members)
  if now < began + MEMORY then
    return math.max(members, known, 1)
  end
  return math.max(members, 1)
end
local function lent()
  local count = 0
  for _, it in pairs(replicas_of) do
    if it.lent_until > now then
      count = count + 1
    end
  end
  return count
end

local pause = math.max(paused_until - now, 0)
if number <= own.number then
  return { 0, 1, pause, shares(others + 1) }
end
known = math.max(known, tonumber(ARGV[8]))

-- What accumulated since, by the shares that were lent all the time, and no more than there was room for all the time.
local total = shares(others + 1)
local share = lent() / total
local outstanding = 0
for _, it in pairs(replicas_of) do
  if it.held_until * 1000 > at then
    outstanding = outstanding + it.held
  end
end
local room = math.max(burst * share - outstanding, 0)
tokens = math.min(tokens + rate * share * math.max(micros - at, 0) / 1000000, room)
at = math.max(at, micros)

-- What this replica used, and what it gives back.
local leased = own.held_until > now and own.held or 0
local held = math.min(tonumber(ARGV[6]), leased)
tokens = tokens + math.min(tonumber(ARGV[7]), leased - held)

local granted, wait = 0, 0
if ARGV[9] == 'leaves' then
  redis.call('HDEL', KEYS[1], replica)
  total = shares(others)
else
  local lent_until = loan(tonumber(ARGV[9]))
  if lent_until > now and pause == 0 then
    granted = math.max(math.min(wanted, math.floor(tokens + 1e-9)), 0)
  end
  tokens = tokens - granted
  own.lent_until = math.max(own.lent_until, lent_until)
  replicas_of[replica] = own
  redis.call('HSET', KEYS[1], replica, string.format('%.0f %.0f %.0f %.0f %.0f', number, now, own.lent_until,
    held + granted, now + LEASE))
  if granted < wanted then
    local fill = rate * math.max(lent(), 1) / total
    wait = math.max(math.ceil(math.max(1 - tokens, 0) * 1000 / fill), pause, 1)
  end
end
redis.call('HSET', KEYS[1], 'replid', replid, 'began', whole(began), 'tokens', string.format('%.9f', tokens),
  'at', whole(at), 'known', whole(known), 'paused_until', whole(paused_until))
redis.call('PEXPIRE', KEYS[1], KEEP)
return { granted, wait, pause, total }
